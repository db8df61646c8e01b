"""Google and DeepL as translators out of English, through their own clients.

    >>> translator = DeeplInto()                       # the key is in DEEPL_AUTH_KEY
    >>> sorted(translator.languages)                   # asked of DeepL
    ['da', 'el', 'es', 'hi', 'pt', 'zh']
    >>> dict(translator.into(["Open https://a.org now."], "da"))
    {0: Rendering(text='Åbn https://a.org nu.', problem='', says='', final=False)}

Google's key is in GOOGLE_API_KEY; without one, whatever Google's libraries find is used, such as
the service account in GOOGLE_APPLICATION_CREDENTIALS. It is Cloud Translation Basic (v2), for
Advanced (v3) takes no keys; the model is the same (nmt). Formality and glossaries are not used.
Neither service says which version of its model translated: a date is all that a card can give.

A wrong key and a quota that is used up are errors, for no text survives them; of other failures,
batches.py says what they become.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from polydrift.engine.asking import UnansweredError, short, timed_out, unreachable
from polydrift.errors import ModelError
from polydrift.translate.batches import Service, by_status, first_cause

if TYPE_CHECKING:
    from deepl import DeepLClient
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.translate_v2 import Client
    from requests.adapters import HTTPAdapter

Made = TypeVar("Made")


class DeeplInto(Service):
    """DeepL, with the key in DEEPL_AUTH_KEY."""

    name = "deepl"
    texts = 50
    characters = 20_000  # of 128 KiB, most of which may be four bytes each
    called: ClassVar[Mapping[str, Sequence[str]]] = {
        "zh": ("ZH-HANS", "ZH"),
        "pt": ("PT-BR", "PT-PT"),  # as the sets that come along
        "tl": ("TL", "FIL"),
    }

    def __init__(self, *, server_url: str | None = None, **more: Any) -> None:
        """server_url: None is DeepL's own. more: keep, tries, timeout and pause."""
        super().__init__(**more)
        self._server_url = server_url

    def _known(self) -> list[str]:
        found = self._asked(lambda client: client.get_target_languages())
        if not found:
            raise self._broken("no languages")
        return [language.code for language in found]

    def _translated(self, texts: list[str], code: str) -> list[str]:
        found = self._asked(
            lambda client: client.translate_text(
                texts, source_lang="EN", target_lang=code, preserve_formatting=True
            )
        )
        made = found if isinstance(found, list) else [found]
        if len(made) != len(texts):
            raise self._broken(f"{len(made)} texts for {len(texts)}")
        return [one.text for one in made]

    def _asked(self, call: Callable[[DeepLClient], Made]) -> Made:
        client = self._client
        import deepl

        # the client knows these two for all of a process only; tries are counted here
        deepl.http_client.max_network_retries = 0
        deepl.http_client.min_connection_timeout = self._timeout
        try:
            return call(client)
        except deepl.DeepLException as error:
            self._fail(error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._broken(short(error)) from error

    @cached_property
    def _client(self) -> DeepLClient:
        try:
            import deepl
        except ImportError as error:
            raise ModelError(
                'deepl needs the package deepl; pip install "polydrift[deepl]".'
            ) from error
        key = _key("DEEPL_AUTH_KEY")
        if not key:
            raise ModelError(
                "deepl needs DEEPL_AUTH_KEY in the environment, which is not set; set it."
            )
        return deepl.DeepLClient(key, server_url=self._server_url, send_platform_info=False)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what a failure of the client means."""
        status, said = getattr(error, "http_status_code", None), short(error)
        if status == 456:
            raise ModelError(
                "deepl's quota of this billing period is used up (HTTP 456); wait for the next, "
                "raise the limit in the account, or name another translator."
            ) from error
        if status is None and "timed out" in str(error):
            raise UnansweredError(
                timed_out(self.name, self._timeout, self._tries), final=False
            ) from error
        if status is None:
            raise UnansweredError(
                unreachable(self.name, first_cause(error), self._tries), final=False
            ) from error
        raise by_status(self.name, status, said, self._tries, "DEEPL_AUTH_KEY") from error


class GoogleInto(Service):
    """Google Cloud Translation, with the key in GOOGLE_API_KEY or a service account."""

    name = "google"
    texts = 128
    characters = 5_000  # what Google recommends
    called: ClassVar[Mapping[str, Sequence[str]]] = {
        "zh": ("zh-CN", "zh"),
        "pt": ("pt", "pt-BR", "pt-PT"),
        "tl": ("tl", "fil"),
    }

    def __init__(self, *, endpoint: str | None = None, **more: Any) -> None:
        """endpoint: None is Google's own. more: keep, tries, timeout and pause."""
        super().__init__(**more)
        self._endpoint = endpoint

    @property
    def identity(self) -> dict[str, Any]:
        """See `IntoLanguage.identity`."""
        return super().identity | {"model": "nmt"}

    def _known(self) -> list[str]:
        found = self._asked(lambda client: [one["language"] for one in client.get_languages()])
        if not found:
            raise self._broken("no languages")
        return found

    def _translated(self, texts: list[str], code: str) -> list[str]:
        return self._asked(
            lambda client: [
                one["translatedText"]
                for one in client.translate(
                    texts,
                    target_language=code,
                    source_language="en",
                    format_="text",
                    model="nmt",
                )
            ]
        )

    def _asked(self, call: Callable[[Client], Made]) -> Made:
        client = self._client
        import google.auth.exceptions
        import requests
        from google.api_core.exceptions import GoogleAPICallError

        try:
            return call(client)
        except GoogleAPICallError as error:
            self._fail(error)
        except requests.JSONDecodeError as error:
            raise self._broken(type(error).__name__) from error
        except requests.Timeout as error:
            raise UnansweredError(
                timed_out(self.name, self._timeout, self._tries), final=False
            ) from error
        except (requests.RequestException, google.auth.exceptions.TransportError) as error:
            raise UnansweredError(
                unreachable(self.name, first_cause(error), self._tries), final=False
            ) from error
        except google.auth.exceptions.GoogleAuthError as error:
            raise ModelError(
                f"google does not take the credentials ({short(error)}); set GOOGLE_API_KEY or "
                "GOOGLE_APPLICATION_CREDENTIALS anew."
            ) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # no JSON, or another
            raise self._broken(type(error).__name__) from error

    @cached_property
    def _client(self) -> Client:
        try:
            import google.auth
            from google.auth import api_key
            from google.auth.exceptions import DefaultCredentialsError
            from google.auth.transport.requests import AuthorizedSession
            from google.cloud import translate_v2
        except ImportError as error:
            raise ModelError(
                'google needs the package google-cloud-translate; pip install "polydrift[google]".'
            ) from error
        key = _key("GOOGLE_API_KEY")
        try:
            credentials = (
                api_key.Credentials(key)
                if key
                else google.auth.default(scopes=translate_v2.Client.SCOPE)[0]
            )
        except DefaultCredentialsError as error:
            raise ModelError(
                f"google needs GOOGLE_API_KEY or GOOGLE_APPLICATION_CREDENTIALS in the environment "
                f"({short(error)}); set one."
            ) from error
        session = AuthorizedSession(credentials)
        for scheme in ("http://", "https://"):
            session.mount(scheme, _patient(self._timeout))
        options = {"api_endpoint": self._endpoint} if self._endpoint else None
        return translate_v2.Client(credentials=credentials, _http=session, client_options=options)

    def _fail(self, error: GoogleAPICallError) -> NoReturn:
        """Raise what an error of the service means; it says 403 and 400 of several things."""
        status, said = int(error.code or 500), short(str(error.message).partition(": ")[2])
        reason = said.lower()
        if status in (403, 429) and "daily limit" in reason:
            raise ModelError(
                f"google's daily quota is used up (HTTP {status}); wait until tomorrow, raise it "
                "in the console, or name another translator."
            ) from error
        if status == 403 and "rate limit" in reason:
            status = 429
        if status == 400 and "api key" in reason:
            status = 403
        raise by_status(self.name, status, said, self._tries, "GOOGLE_API_KEY") from error


def _key(variable: str) -> str:
    """A key, read when it is used."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"{variable} holds what no key has; set it to a key alone.")
    return key


def _patient(seconds: float) -> HTTPAdapter:
    """Sends with a time limit of its own: Google's client has a fixed one."""
    from requests.adapters import HTTPAdapter

    class Patient(HTTPAdapter):
        def send(self, *sent: Any, **how: Any) -> Any:
            return super().send(*sent, **how | {"timeout": seconds})

    return Patient()
