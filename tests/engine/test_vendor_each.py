"""One model asked row by row: what each row gets, what ends all, and what is left in flight."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import closing
from itertools import islice

import pytest
from inspect_ai.model import ModelOutput

from polydrift.engine.asking import Failure
from polydrift.engine.interface import Decoding
from polydrift.engine.vendor import Vendor
from polydrift.errors import ModelError
from tests.engine.test_served import completion, loopback, server  # noqa: F401  # used by every test
from tests.engine.test_vendor import KEY, LOCAL, USAGE, at, key, mock, said  # noqa: F401  # as well

SHORT = Decoding(max_new_tokens=8)
SOON = {"retry-after-ms": "10"}


def patient(url, **more):
    """A model behind an address of ours; the client beneath Inspect tries three times, fast."""
    return Vendor([LOCAL], model_args={"base_url": url, "max_retries": 2}, tries=1, **more)


def asked(body):
    return body["messages"][0]["content"]


def by_prompt(**replies):
    return lambda path, body: replies.get(asked(body), (200, completion(asked(body).upper())))


def test_rows_come_as_they_end_and_keep_their_places():
    async def reply(prompt, config):
        await asyncio.sleep({"slow": 0.3}.get(prompt, 0.01))
        return said(prompt.upper())

    found = list(mock(reply, at_once=2).each(["slow", " ", "a", "b"], SHORT, [1, 2, 3, 4]))
    assert [(i, one.text, one.finish) for i, one in found] == [
        (1, "", "empty-prompt"),
        (2, "A", "stop"),
        (3, "B", "stop"),
        (0, "SLOW", "stop"),
    ]


def test_no_more_are_in_flight_than_asked_for_and_seeds_belong_to_their_rows():
    now = most = 0
    seen = {}

    async def reply(prompt, config):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        seen[prompt] = config.seed
        return said(prompt)

    prompts = [str(i) for i in range(20)]
    found = dict(mock(reply, at_once=4).each(prompts, SHORT, range(100, 120)))
    assert sorted(found) == list(range(20))
    assert seen == {prompt: 100 + int(prompt) for prompt in prompts}
    assert most == 4


def test_nothing_is_opened_for_blank_prompts():
    found = list(Vendor(["nonsense/model"]).each(["", "\n"], SHORT, [1, 2]))
    assert [(i, one.finish) for i, one in found] == [(0, "empty-prompt"), (1, "empty-prompt")]


@pytest.mark.parametrize(
    ("status", "message", "sentence", "final"),
    [
        (400, "too long", "refuses what was asked (HTTP 400: Error code: 400 - too long)", True),
        (413, "too big", "refuses what was asked (HTTP 413: Error code: 413 - too big)", True),
        (422, "odd", "refuses what was asked (HTTP 422: Error code: 422 - odd)", True),
        (403, "Your input was flagged", "refuses what was asked (HTTP 403: its moderation)", True),
        (429, "slow down", "has too many requests (HTTP 429), tried 1 times", False),
        (500, "broken", "fails (HTTP 500: Error code: 500 - broken), tried 1 times", False),
        (503, "busy", "fails (HTTP 503: Error code: 503 - busy), tried 1 times", False),
    ],
)
def test_one_row_that_fails_leaves_the_others_alone(status, message, sentence, final):
    broken = (status, {"error": {"message": message}})
    with server(by_prompt(bad=broken)) as (url, _):
        found = dict(at(url, at_once=2).each(["a", "bad", "b", "c"], SHORT, range(4)))
    assert [found[i].text for i in (0, 2, 3)] == ["A", "B", "C"]
    assert isinstance(found[1], Failure)
    assert found[1].sentence.startswith(f"{LOCAL} {sentence}")
    assert found[1].final is final


def test_what_works_at_the_second_try_is_an_answer():
    left = {"a": [(429, {"error": {"message": "slow"}}, SOON), (500, b"Busy", SOON)]}

    def reply(path, body):
        waiting = left.get(asked(body))
        return waiting.pop(0) if waiting else (200, completion(asked(body).upper()))

    with server(reply) as (url, requests):
        found = dict(patient(url).each(["a", "b"], SHORT, [1, 2]))
    assert [found[i].text for i in range(2)] == ["A", "B"]
    assert len(requests) == 4


def test_a_row_that_hangs_is_given_up_alone():
    async def reply(prompt, config):
        await asyncio.sleep(30 if prompt == "hang" else 0)
        return said(prompt)

    found = dict(mock(reply, timeout=1, tries=1).each(["hang", "a"], SHORT, [1, 2]))
    assert found[1].text == "a"
    assert found[0] == Failure(
        "mockllm/model gave no answer within 1 seconds, 1 times; ask fewer prompts at once, allow "
        "more time, or see the server's log.",
        final=False,
    )


def test_a_reply_that_is_no_json_and_a_connection_that_breaks_are_the_row_s():
    with server(by_prompt(bad=(200, b'{"choices": [{'))) as (url, _):
        found = dict(at(url).each(["bad", "a"], SHORT, [1, 2]))
    assert found[1].text == "A"
    assert found[0].sentence.startswith(f"{LOCAL} cannot be asked (")
    assert not found[0].final
    ((_, gone),) = at("http://127.0.0.1:9/v1").each(["a"], SHORT, [1])
    assert gone == Failure(
        f"{LOCAL} cannot be reached, or breaks off (All connection attempts failed; tried 1 "
        "times); start the server, or mend the address.",
        final=False,
    )


@pytest.mark.parametrize(
    ("output", "final"),
    [
        (said(finish="model_length"), True),
        (said(finish="unknown"), True),
        (ModelOutput(model="mock", choices=[], usage=USAGE), False),
    ],
)
def test_answers_that_end_otherwise_are_failures(output, final):
    engine = mock(lambda prompt, _: output if prompt == "bad" else said(prompt))
    found = dict(engine.each(["bad", "a"], SHORT, [1, 2]))
    assert found[1].text == "a"
    assert found[0].sentence.startswith("mockllm/model ended with ")
    assert found[0].final is final


def test_filtered_and_cut_answers_are_answers():
    finishes = {"a": "content_filter", "b": "max_tokens"}
    found = dict(mock(lambda p, _: said(p, finishes[p])).each(["a", "b"], SHORT, [1, 2]))
    assert [found[i].finish for i in range(2)] == ["filtered", "length"]


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, {"message": f"no {KEY}"}, "wants a key (HTTP 401): the one in its environment"),
        (403, {"message": "not yours"}, "wants a key (HTTP 403): the one in its environment"),
        (402, {"message": "pay"}, ": the account has no credit (HTTP 402); add some, or take"),
        (
            429,
            {"message": "You exceeded your quota", "code": "insufficient_quota"},
            ": the account has no credit (HTTP 429); add some, or take another vendor.",
        ),
        *(
            (400, {"message": said}, f" does not serve this account or key (HTTP 400: {told}")
            for said, told in [
                ("Your credit balance is too low", "Error code: 400 - Your credit balance"),
                ("API key not valid. Pass another.", "Error code: 400 - API key not valid"),
                ("Billing hard limit", "Error code: 400 - Billing hard limit); mend it, or take "),
            ]
        ),
        (404, {"message": "no such model"}, ": the vendor has no such model (HTTP 404: "),
    ],
)
def test_what_no_row_can_survive_ends_all(status, error, sentence):
    with server(lambda *_: (status, {"error": error})) as (url, requests):
        with pytest.raises(ModelError) as caught:
            list(at(url, at_once=2).each([str(i) for i in range(50)], SHORT, range(50)))
        assert len(requests) <= 4
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, "does not serve this account or key"), (403, "wants a key"), (404, "has no such model")],
)
def test_google_s_errors_have_their_status_under_another_name(code, kind):
    class ClientError(Exception):
        def __init__(self):
            super().__init__(f"{code} INVALID_ARGUMENT. API key not valid.")
            self.code = code

    async def reply(prompt, config):
        raise ClientError

    with pytest.raises(ModelError, match=rf"^mockllm/model.* {kind} \(HTTP {code}"):
        list(mock(reply).each(["a"], SHORT, [1]))


def test_a_prompt_about_keys_that_is_too_long_ends_nothing():
    prompt = "What is an API key? Who sends the billing?"
    with server(by_prompt(**{prompt: (400, {"error": {"message": "too long"}})})) as (url, _):
        found = dict(at(url).each([prompt, "a"], SHORT, [1, 2]))
    assert (found[0].final, found[1].text) == (True, "A")


def test_rows_that_had_ended_come_before_what_ends_all():
    replies = {"end": (401, {"error": {"message": "no key"}})}
    with server(by_prompt(**replies)) as (url, _):
        rows = at(url, at_once=1).each(["a", "b", "end", "c"], SHORT, range(4))
        assert [(i, one.text) for i, one in islice(rows, 2)] == [(0, "A"), (1, "B")]
        with pytest.raises(ModelError, match="HTTP 401"):
            next(rows)


@pytest.mark.parametrize("name", ["nonsense/model", "gpt-4o-mini"])
def test_a_model_that_is_none_is_named_at_once(name):
    with pytest.raises(ModelError, match=f"^{name} names no provider that Inspect AI knows;"):
        next(Vendor([name]).each(["a"], SHORT, [1]))


def test_keys_and_packages_that_lack_are_named_at_once(monkeypatch):
    monkeypatch.delenv("FAR_API_KEY", raising=False)
    with pytest.raises(ModelError, match="needs FAR_API_KEY in the environment, which is not set"):
        next(Vendor(["openai-api/far/base"]).each(["a"], SHORT, [1]))
    monkeypatch.setitem(sys.modules, "inspect_ai.model", None)
    with pytest.raises(ModelError, match=r'pip install "polydrift\[inspect\]"'):
        next(Vendor(["openai/gpt-4o-mini"]).each(["a"], SHORT, [1]))


def test_closing_cancels_what_is_in_flight():
    began, cancelled = [], []

    async def reply(prompt, config):
        began.append(prompt)
        try:
            await asyncio.sleep(0 if prompt == "0" else 60)
        except asyncio.CancelledError:
            cancelled.append(prompt)
            raise
        return said(prompt)

    prompts = [str(i) for i in range(10)]
    with closing(mock(reply, at_once=3).each(prompts, SHORT, range(10))) as rows:
        assert next(rows)[0] == 0
    assert set(cancelled) == set(began) - {"0"}
    assert len(began) <= 4


def test_no_thread_and_no_task_is_left_and_nothing_is_printed(capfd):
    before = threading.active_count()
    with server(lambda *_: (500, b"Busy")) as (url, _):
        rows = at(url).each(["a", "b", "c"], SHORT, [1, 2, 3])
        next(rows)
        del rows
    list(mock(lambda p, _: said(p, "content_filter")).each(["a"], SHORT, [1]))
    assert threading.active_count() == before
    assert capfd.readouterr() == ("", "")


def test_iterators_of_one_model_do_not_wait_for_each_other():
    async def reply(prompt, config):
        await asyncio.sleep(0.02 * int(prompt))
        return said(prompt)

    prompts = [str(i) for i in range(6)]
    first, second = (mock(reply, at_once=3).each(prompts, SHORT, range(6)) for _ in range(2))
    pairs = list(zip(first, second, strict=True))  # one holds all its places while the other asks
    assert sorted(one.text for pair in pairs for _, one in pair) == sorted([*prompts, *prompts])
