"""Google and DeepL by their own clients, against servers that speak their REST forms."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from polydrift.errors import DataError, ModelError
from polydrift.records import canonical
from polydrift.translate.replies import Rendering
from polydrift.translate.services import DeeplInto, GoogleInto
from tests.engine.test_served import loopback  # noqa: F401  # used by every test
from tests.translate.conftest import CODES

KEY = "key-that-nobody-may-read"
GOOGLE = ["zh-CN", "zh-TW", "da", "el", "en", "hi", "ga", "pt", "pt-PT", "es", "tl"]
DEEPL = ["ZH", "ZH-HANS", "DA", "EL", "EN-GB", "PT-BR", "PT-PT", "ES"]


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv("DEEPL_AUTH_KEY", KEY)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


class Half(bytes):
    """The first half of a reply, after which the server hangs up."""


@contextlib.contextmanager
def serving(reply):
    """An address and the requests to it. reply: (path, body) to (status, body)."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            size = int(self.headers["Content-Length"] or 0)
            raw = self.rfile.read(size).decode()
            body = json.loads(raw) if raw.startswith("{") else raw
            path = self.path.partition("?")[0]
            requests.append((path, dict(self.headers), body))
            status, content = reply(path, body)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                length = len(content) * (2 if isinstance(content, Half) else 1)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815  # the server's names

        def log_message(self, *what):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", requests
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


class Deepl:
    """What there is to know of DeepL's REST form."""

    name, languages_path, translate_path = "deepl", "/v2/languages", "/v2/translate"
    languages = tuple({"language": code, "name": code} for code in DEEPL)

    @staticmethod
    def at(url, **more):
        return DeeplInto(server_url=url, pause=0.01, **more)

    @staticmethod
    def texts(body):
        return body["text"]

    @staticmethod
    def made(texts):
        return {
            "translations": [
                {"detected_source_language": "EN", "text": text, "billed_characters": 1}
                for text in texts
            ]
        }

    @staticmethod
    def error(message):
        return {"message": message}


class Google:
    """What there is to know of Google's."""

    name, translate_path = "google", "/language/translate/v2"
    languages_path = f"{translate_path}/languages"
    languages: ClassVar = {
        "data": {"languages": [{"language": code, "name": code} for code in GOOGLE]}
    }

    @staticmethod
    def at(url, **more):
        return GoogleInto(endpoint=url, pause=0.01, **more)

    @staticmethod
    def texts(body):
        return body["q"]

    @staticmethod
    def made(texts):
        return {"data": {"translations": [{"translatedText": text} for text in texts]}}

    @staticmethod
    def error(message):
        return {"error": {"code": 0, "message": message, "errors": [{"reason": "x"}]}}


@pytest.fixture(params=[Deepl, Google], ids=["deepl", "google"])
def form(request):
    return request.param


def answering(form, translate=None, languages=None):
    """A service; `translate`: its texts to (status, body), or None for capitals."""

    def reply(path, body):
        if path == form.languages_path:
            return languages or (200, form.languages)
        assert path == form.translate_path
        found = translate(form.texts(body)) if translate else None
        return found or (200, form.made([text.upper() for text in form.texts(body)]))

    return serving(reply)


# What is sent and what comes back.


def test_texts_come_back_in_their_places(form):
    told = []
    with answering(form) as (url, requests):
        translator = form.at(url)
        texts = ["Wait.", " ", "Mix flour.\n\n- Wait."]
        found = dict(translator.into(texts, "da", lambda *what: told.append(what)))
    assert found == {
        0: Rendering("WAIT."),
        1: Rendering(" "),
        2: Rendering("MIX FLOUR.\n\n- WAIT."),
    }
    assert [path for path, _, _ in requests] == [form.languages_path, form.translate_path]
    assert told == [(1.0, "3 of 3 texts")]


def test_what_deepl_is_sent():
    with answering(Deepl) as (url, requests):
        list(Deepl.at(url).into(["Wait."], "pt"))
    _, headers, body = requests[-1]
    assert headers["Authorization"] == f"DeepL-Auth-Key {KEY}"
    assert (body["text"], body["source_lang"], body["target_lang"]) == (["Wait."], "EN", "PT-BR")
    assert body["preserve_formatting"] is True
    assert not {"formality", "tag_handling", "glossary_id"} & body.keys()


def test_what_google_is_sent():
    with answering(Google) as (url, requests):
        list(Google.at(url).into(["Wait."], "zh"))
    _, headers, body = requests[-1]
    assert {name.lower(): text for name, text in headers.items()}["x-goog-api-key"] == KEY
    assert (body["q"], body["source"], body["target"]) == (["Wait."], "en", "zh-CN")
    assert (body["format"], body["model"]) == ("text", "nmt")


def test_languages_are_those_of_the_service(form):
    with answering(form) as (url, requests):
        translator = form.at(url)
        assert translator.languages == translator.languages
        assert len(requests) == 1
        known = {"zh", "da", "el", "pt", "es"}
        assert translator.languages == (known if form is Deepl else set(CODES))
        if form is Deepl:
            with pytest.raises(DataError) as caught:
                list(translator.into(["Wait."], "ga"))
            assert str(caught.value) == (
                "deepl translates from English into zh, da, el, pt, es, not into ga; name another "
                "translator for it."
            )
        with pytest.raises(DataError, match="not into en"):
            list(translator.into(["Wait."], "en"))


def test_requests_keep_the_limits_and_rows_come_one_request_after_the_other(form):
    with answering(form) as (url, requests):
        rows = form.at(url).into([f"Text {i}." for i in range(300)], "da")
        first = list(islice(rows, 1))
        assert (first[0][0], len(requests)) == (0, 2)
        found = dict([*first, *rows])
        assert list(found) == list(range(300))
        sizes = [len(form.texts(body)) for path, _, body in requests if path == form.translate_path]
        assert sizes == ([50] * 6 if form is Deepl else [128, 128, 44])
        requests.clear()
        long = "word " * (form.at(url).characters // 10)
        dict(form.at(url).into([long, long, long, long * 3], "da"))
    assert [len(form.texts(body)) for path, _, body in requests[1:]] == [2, 1, 1]


def test_protected_spans_are_masked(form):
    with answering(form) as (url, requests):
        texts = ["Open https://a.org/b for {name}.", "Ask Acme.", "Run `make`."]
        found = dict(form.at(url, keep=["Acme"]).into(texts, "da"))
    assert form.texts(requests[-1][2]) == ["Open WQ0W for WQ1W.", "Ask WQ0W.", "Run WQ0W."]
    assert [found[i].text for i in range(3)] == [
        "OPEN https://a.org/b FOR {name}.",
        "ASK Acme.",
        "RUN `make`.",
    ]


def test_a_lost_mask_sends_the_text_as_it_is(form):
    def translate(texts):
        return 200, form.made([text.replace("WQ0W", "").upper() for text in texts])

    with answering(form, translate) as (url, requests):
        found = dict(form.at(url).into(["Ask {name}.", "Wait."], "da"))
    assert found == {0: Rendering("ASK {NAME}."), 1: Rendering("WAIT.")}
    assert form.texts(requests[-1][2]) == ["Ask {name}."]


def test_the_identity_holds_no_secret(form):
    identity = form.at("http://127.0.0.1:9", keep=["b", "a"]).identity
    assert (identity["service"], identity["keep"]) == (form.name, ["a", "b"])
    canonical(identity)
    assert KEY not in json.dumps(identity)
    assert "127.0.0.1" not in json.dumps(identity)


# What fails for a passing reason.


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_works_at_a_later_try_is_a_translation(form, status):
    left = [status, status]

    def translate(texts):
        return (left.pop(), form.error("busy")) if left else None

    with answering(form, translate) as (url, requests):
        assert dict(form.at(url, tries=3).into(["Wait."], "da")) == {0: Rendering("WAIT.")}
    assert len(requests) == 4


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (429, "has too many requests (HTTP 429: "),
        (500, "fails (HTTP 500: "),
        (503, "fails (HTTP 503: "),
    ],
)
def test_a_request_that_fails_costs_its_rows_only(form, status, says):
    def translate(texts):
        return (status, form.error("busy")) if "Text 0." in texts else None

    texts = [f"Text {i}." for i in range(form.at("").texts + 1)]
    with answering(form, translate) as (url, _):
        found = dict(form.at(url, tries=2).into(texts, "da"))
    last = len(texts) - 1
    assert found[last] == Rendering(f"TEXT {last}.")
    for i in range(last):
        assert (found[i].text, found[i].problem, found[i].final) == ("", "failed", False)
        assert found[i].says.startswith(f"{form.name} {says}")
        assert found[i].says.endswith(", tried 2 times; try again later.")


@pytest.mark.parametrize(
    "content", [b'{"translations": [{"te', b"", b"[]", b'{"data": {"translations": [{}]}}']
)
def test_an_answer_that_cannot_be_read_is_no_translation(form, content):
    with answering(form, lambda texts: (200, content)) as (url, _):
        found = dict(form.at(url, tries=2).into(["Wait."], "da"))
    assert (found[0].problem, found[0].final) == ("failed", False)
    assert found[0].says.startswith(f"{form.name} answers with what is no translation (")
    assert found[0].says.endswith("), tried 2 times; try again later.")


@pytest.mark.parametrize("whole", [b'{"data": {"transl', b'{"data": {"translations": []}}'])
def test_a_reply_that_breaks_off_is_a_passing_failure(form, whole):
    with answering(form, lambda texts: (200, Half(whole))) as (url, requests):
        found = dict(form.at(url, tries=2).into(["Wait."], "da"))
    assert (found[0].problem, found[0].final) == ("failed", False)
    assert found[0].says.startswith(
        f"{form.name} cannot be reached, or breaks off (IncompleteRead("
    )
    assert found[0].says.endswith("; tried 2 times); start the server, or mend the address.")
    assert len(requests) == 3


def test_a_service_account_whose_sign_in_breaks_off_is_a_passing_failure(tmp_path, monkeypatch):
    with serving(lambda *_: (200, Half(b'{"access'))) as (url, _):
        signing_in(tmp_path, monkeypatch, url)
        with pytest.raises(ModelError) as caught:
            list(Google.at(url, tries=1).into(["Wait."], "da"))
    assert str(caught.value).startswith("google cannot be reached, or breaks off (IncompleteRead(")


def test_fewer_translations_than_texts_are_none(form):
    with answering(form, lambda texts: (200, form.made(texts[:1]))) as (url, _):
        found = dict(form.at(url, tries=1).into(["Wait.", "Mix."], "da"))
    assert [found[i].problem for i in range(2)] == ["failed", "failed"]


def test_an_empty_translation_is_named(form):
    with answering(form, lambda texts: (200, form.made([" "]))) as (url, _):
        found = dict(form.at(url).into(["Wait."], "da"))
    assert found[0] == Rendering("", "empty", f"{form.name} gave nothing back")


def test_a_service_that_hangs_is_given_up(form):
    def translate(texts):
        time.sleep(1.5)

    with answering(form, translate) as (url, _):
        translator = form.at(url, tries=1, timeout=0.3)
        ((_, found),) = translator.into(["Wait."], "da")
    assert found == Rendering(
        "",
        "failed",
        f"{form.name} gave no answer within 0.3 seconds, 1 times; ask fewer prompts at once, allow "
        "more time, or see the server's log.",
    )


def test_a_service_that_fails_again_and_again_is_left_alone(form):
    texts = [f"Text {i}." for i in range(4 * form.at("").texts)]
    with answering(form, lambda texts: (503, form.error("down"))) as (url, requests):
        translator = form.at(url, tries=1)
        found = dict(translator.into(texts, "da"))
    assert translator.gives_up
    assert len(requests) == 4
    assert list(found) == list(range(3 * translator.texts))
    assert {(one.problem, one.final) for one in found.values()} == {("failed", False)}
    assert all(one.says.startswith(f"{form.name} fails (HTTP 503: ") for one in found.values())


def test_a_service_that_cannot_be_reached_is_named(form):
    with pytest.raises(ModelError) as caught:
        list(form.at("http://127.0.0.1:9", tries=2).into(["Wait."], "da"))
    assert str(caught.value) == (
        f"{form.name} cannot be reached, or breaks off ([Errno 111] Connection refused; tried 2 "
        "times); start the server, or mend the address."
    )


# What is refused.


@pytest.mark.parametrize("status", [400, 413])
def test_one_bad_text_costs_no_other(form, status):
    def translate(texts):
        return (status, form.error("cannot be read")) if "Bad." in texts else None

    with answering(form, translate) as (url, requests):
        found = dict(form.at(url).into(["Wait.", "Bad.", "Mix."], "da"))
    assert (found[0], found[2]) == (Rendering("WAIT."), Rendering("MIX."))
    assert (found[1].problem, found[1].final) == ("failed", True)
    assert found[1].says.startswith(f"{form.name} refuses a text (HTTP {status}: ")
    assert found[1].says.endswith("); shorten it, or name another translator.")
    assert len(requests) == 5  # languages, all, and one by one: nothing is tried again


@pytest.mark.parametrize("where", ["languages", "translate"])
def test_a_wrong_key_is_named_and_not_shown(form, where):
    broken = (403, form.error(f"Wrong endpoint for {KEY}"))
    how = {where: broken if where == "languages" else lambda texts: broken}
    with answering(form, **how) as (url, requests):
        with pytest.raises(ModelError) as caught:
            list(form.at(url).into(["Wait."], "da"))
        assert len(requests) == (1 if where == "languages" else 2)
    variable = "DEEPL_AUTH_KEY" if form is Deepl else "GOOGLE_API_KEY"
    said = str(caught.value)
    assert said.startswith(f"{form.name} does not let this key translate (HTTP 403: ")
    assert said.endswith(f"); set one that may in {variable}, or name another translator.")
    assert KEY not in said


def test_a_used_up_quota_of_deepl_ends_all():
    with answering(Deepl, lambda texts: (456, Deepl.error("Quota Exceeded"))) as (url, requests):
        with pytest.raises(ModelError) as caught:
            list(Deepl.at(url).into(["Wait."], "da"))
        assert len(requests) == 2
    assert str(caught.value) == (
        "deepl's quota of this billing period is used up (HTTP 456); wait for the next, raise the "
        "limit in the account, or name another translator."
    )


def error_of(form, **how):
    """What the user is told when texts are sent to a service that answers like that."""
    with answering(form, **how) as (url, _), pytest.raises(ModelError) as caught:
        list(form.at(url, tries=1).into(["Wait."], "da"))
    return str(caught.value)


def test_google_s_403_and_400_are_told_apart():
    daily = error_of(Google, translate=lambda _: (403, Google.error("Daily Limit Exceeded")))
    assert daily == (
        "google's daily quota is used up (HTTP 403); wait until tomorrow, raise it in the console, "
        "or name another translator."
    )
    wrong = (400, Google.error("API key not valid. Please pass a valid API key."))
    said = error_of(Google, translate=lambda _: wrong)
    assert said.startswith("google does not let this key translate (HTTP 403: API key not valid")
    slow = [(403, Google.error("User Rate Limit Exceeded"))]
    with answering(Google, lambda texts: slow.pop() if slow else None) as (url, _):
        assert dict(Google.at(url).into(["Wait."], "da")) == {0: Rendering("WAIT.")}


def test_an_address_without_the_service_is_named(form):
    said = error_of(form, languages=(404, form.error("nothing here")))
    assert said.startswith(f"{form.name}: no such service is at that address (HTTP 404: ")


def test_a_list_of_languages_that_cannot_be_read_is_named(form):
    for content in (b'{"data', b'{"data": {"languages": []}}', b"[]"):
        said = error_of(form, languages=(200, content))
        assert said.startswith(f"{form.name} answers with what is no translation (")


# Keys and packages.


def signing_in(tmp_path, monkeypatch, url):
    """Have Google's libraries find a service account that signs in at an address of ours."""
    monkeypatch.delenv("GOOGLE_API_KEY")
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "mine",
                "private_key_id": "1",
                "private_key": pem.decode(),
                "client_email": "me@mine.example",
                "token_uri": f"{url}/token",
            }
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))


def test_a_service_account_signs_in(tmp_path, monkeypatch):
    def reply(path, body):
        if path == "/token":
            return 200, {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
        if path == Google.languages_path:
            return 200, Google.languages
        return 200, Google.made([text.upper() for text in Google.texts(body)])

    with serving(reply) as (url, requests):
        signing_in(tmp_path, monkeypatch, url)
        assert dict(Google.at(url).into(["Wait."], "da")) == {0: Rendering("WAIT.")}
    headers = {name.lower(): text for name, text in requests[-1][1].items()}
    assert headers["authorization"] == "Bearer a-token"


def test_a_service_account_that_is_refused_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("GOOGLE_API_KEY")
    account = tmp_path / "account.json"
    account.write_text('{"type": "service_account"}', encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    with pytest.raises(ModelError, match=r"^google needs GOOGLE_API_KEY or GOOGLE_APPLICATION_C"):
        list(Google.at("http://127.0.0.1:9").into(["Wait."], "da"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ModelError, match=r"in the environment \(File .*none.json was not found"):
        list(Google.at("http://127.0.0.1:9").into(["Wait."], "da"))


def test_a_key_that_is_not_set_or_none_is_named(monkeypatch):
    monkeypatch.setenv("DEEPL_AUTH_KEY", " ")
    with pytest.raises(ModelError) as caught:
        _ = DeeplInto().languages
    assert str(caught.value) == (
        "deepl needs DEEPL_AUTH_KEY in the environment, which is not set; set it."
    )
    monkeypatch.setenv("DEEPL_AUTH_KEY", "κλειδί")
    with pytest.raises(ModelError) as caught:
        _ = DeeplInto().languages
    assert str(caught.value) == "DEEPL_AUTH_KEY holds what no key has; set it to a key alone."


@pytest.mark.parametrize(
    ("make", "module", "sentence"),
    [
        (
            DeeplInto,
            "deepl",
            'deepl needs the package deepl; pip install "polydrift[deepl]".',
        ),
        (
            GoogleInto,
            "google.cloud.translate_v2",
            'google needs the package google-cloud-translate; pip install "polydrift[google]".',
        ),
    ],
)
def test_a_package_that_lacks_is_named(make, module, sentence, monkeypatch):
    monkeypatch.delitem(sys.modules, module, raising=False)
    if "." in module:
        package = sys.modules.get("google.cloud")
        monkeypatch.delattr(package, "translate_v2", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError) as caught:
        _ = make().languages
    assert str(caught.value) == sentence


def test_the_clients_are_loaded_when_they_are_asked_and_nothing_is_printed(form, capfd):
    script = (
        "import sys; from polydrift.translate import services, into, protect; "
        "print([m for m in ('deepl', 'google.cloud', 'requests', 'torch', 'inspect_ai') "
        "if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.stdout.strip() == "[]", shown.stderr
    with answering(form, lambda texts: (503, form.error("down"))) as (url, _):
        list(form.at(url, tries=2).into(["Wait."], "da"))
    assert capfd.readouterr() == ("", "")
