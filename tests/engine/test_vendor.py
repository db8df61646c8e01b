from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

from polydrift.engine.answer import answer
from polydrift.engine.interface import Decoding, Engine
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.vendor import Vendor
from polydrift.errors import ModelError
from tests.engine.conftest import PROMPTS
from tests.engine.test_served import (
    KEY,
    TEMPLATE,
    completion,
    error_of,
    in_order,
    loopback,  # noqa: F401  # used by every test here too
    server,
    transformers_serve,
)

SHORT = Decoding(max_new_tokens=8)
LOCAL = "openai-api/local/base"
USAGE = ModelUsage(input_tokens=12, output_tokens=4, total_tokens=16)
PAGE = "https://inspect.aisi.org.uk/providers.html"


def said(text="Hej!", finish="stop", usage=USAGE):
    choice = ChatCompletionChoice(message=ChatMessageAssistant(content=text), stop_reason=finish)
    return ModelOutput(model="mock", choices=[choice], usage=usage)


def mock(reply, **more):
    """A model that answers with `reply(prompt, config)`."""

    def outputs(messages, tools, tool_choice, config):
        assert [m.role for m in messages] == ["user"]
        return reply(messages[0].text, config)

    return Vendor(["mockllm/model"], model_args={"custom_outputs": outputs}, **more)


def at(url, name=LOCAL, **more):
    """A model behind an address of ours; the client beneath Inspect tries once."""
    return Vendor([name], model_args={"base_url": url, "max_retries": 0}, tries=1, **more)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", KEY)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with transformers_serve(tmp_path_factory.mktemp("home")) as url:
        yield url


def test_answers_come_in_order_with_their_ends_and_counts():
    def reply(prompt, config):
        finish = {"a": "stop", "b": "max_tokens", "c": "content_filter"}[prompt]
        return said(prompt.upper(), finish)

    engine: Engine = mock(reply)
    ((member, found),) = engine.answer(["a", " ", "b", "c"], SHORT, seeds=[1, 2, 3, 4])
    assert (engine.members, member) == (1, 0)
    assert [(a.text, a.finish, a.prompt_tokens, a.answer_tokens) for a in found] == [
        ("A", "stop", 12, 4),
        ("", "empty-prompt", 0, 0),
        ("B", "length", 12, 4),
        ("C", "filtered", 12, 4),
    ]
    assert not any(a.prompt_truncated for a in found)


def test_how_to_decode_reaches_the_model():
    seen = {}

    def reply(prompt, config):
        seen[prompt] = config
        return said()

    decoding = Decoding(temperature=0.7, top_p=0.9, max_new_tokens=64)
    settings = {"reasoning_effort": "none"}
    engine = mock(reply, at_once=3, tries=4, timeout=50, settings=settings)
    list(engine.answer(["a", "b"], decoding, seeds=[7, 2**62 + 5]))
    a = seen["a"]
    assert (a.temperature, a.top_p, a.max_tokens, a.reasoning_effort) == (0.7, 0.9, 64, "none")
    assert (a.max_connections, a.max_retries, a.attempt_timeout) == (3, 3, 50)
    assert (a.seed, seen["b"].seed) == (7, 5)
    list(engine.answer(["a"], SHORT, seeds=[7]))
    assert (seen["a"].temperature, seen["a"].top_p) == (0.0, None)


def test_many_prompts_are_in_flight_and_a_second_call_works_too():
    now = most = 0

    async def reply(prompt, config):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002 * (int(prompt) % 5))
        now -= 1
        return said(prompt)

    engine = mock(reply, at_once=4)
    prompts = [str(i) for i in range(20)]
    told = []
    for _ in range(2):
        ((_, found),) = engine.answer(
            prompts, SHORT, seeds=range(20), progress=lambda *what: told.append(what)
        )
        assert [a.text for a in found] == prompts
    assert told[19] == told[39] == (1.0, "20 of 20 answers")
    assert most == 4


def test_a_member_that_fails_leaves_the_others_alone():
    outputs = [said(str(i)) for i in range(2)]
    models = ["mockllm/model", "nonsense/model", "mockllm/other"]
    engine = Vendor(models, model_args={"custom_outputs": outputs})
    first, second, third = engine.answer(["a", "b"], SHORT, seeds=[1, 2])
    assert [a.text for a in first[1]] == ["0", "1"]
    assert isinstance(second[1], ModelError)
    assert [a.text for a in third[1]] == ["0", "1"]


def test_answers_are_kept_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path))
    asked = []

    def reply(prompt, config):
        asked.append(prompt)
        return said(f"{prompt} {len(asked)}")

    def texts(engine, seeds=(1, 2)):
        ((_, found),) = engine.answer(["a", "a"], SHORT, seeds=seeds)
        return [a.text for a in found]

    kept = mock(reply, cache="1h", at_once=1)
    first = texts(kept)
    assert first == ["a 1", "a 2"]  # two seeds are two answers
    assert texts(kept) == first
    assert texts(kept, (1, 3)) == ["a 1", "a 3"]
    assert texts(mock(reply, at_once=1)) == ["a 4", "a 5"]


# Through a server.


def test_greedy_answers_through_a_real_server_are_those_of_our_own_engine(directories, serve):
    prompts, decoding = PROMPTS[:5], Decoding(max_new_tokens=40)
    seeds = range(len(prompts))
    engine = Vendor(
        [f"openai-api/local/{directories[family]}" for family in ("llama", "gemma3")],
        tries=1,
        settings={"extra_body": {"chat_template_kwargs": TEMPLATE}},
        model_args={"base_url": serve},
    )
    found = dict(engine.answer(prompts, decoding, seeds=seeds))
    for member, family in enumerate(("llama", "gemma3")):
        model = load(Source(str(directories[family]), device="cpu"))
        own = answer(model, prompts, decoding, seeds=seeds)
        for asked, ours in zip(found[member], own, strict=True):
            assert (asked.text, asked.finish) == (ours.text, ours.finish)
            assert asked.prompt_tokens == ours.prompt_tokens
            assert asked.answer_tokens == ours.answer_tokens + (ours.finish == "stop")


def test_what_is_sent_to_a_server():
    with server(lambda path, body: (200, completion())) as (url, requests):
        ((_, found),) = at(url).answer(["Hej?"], SHORT, seeds=[2**31 + 3])
    assert [(a.text, a.finish, a.answer_tokens) for a in found] == [("Hej!", "stop", 4)]
    assert requests == [
        (
            "/chat/completions",
            f"Bearer {KEY}",
            {
                "model": "base",
                "messages": [{"role": "user", "content": "Hej?"}],
                "temperature": 0.0,
                "max_tokens": 8,
                "seed": 3,
            },
        )
    ]


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            401,
            "wants a key (HTTP 401): the one in its environment variable does not open it; set a "
            "valid one.",
        ),
        (
            429,
            "has too many requests (HTTP 429), tried 1 times; ask fewer prompts at once, or try "
            "again later.",
        ),
        (
            500,
            "fails (HTTP 500: Error code: 500 - no luck with …), tried 1 times; see the log of "
            "that server, or try again later.",
        ),
        (
            422,
            "refuses what was asked (HTTP 422: Error code: 422 - no luck with …); if it is too "
            "long, ask for fewer new tokens or of a model with a longer context.",
        ),
    ],
)
def test_what_a_vendor_refuses_is_one_sentence_without_the_key(status, sentence):
    body = {"error": {"message": f"no luck with {KEY}"}}
    with server(lambda *_: (status, body)) as (url, _):
        assert error_of(at(url)) == f"{LOCAL} {sentence}"


def test_a_model_that_the_vendor_does_not_have_is_named():
    body = {"error": {"message": "The model `base` does not exist."}}
    with server(lambda *_: (404, body)) as (url, _):
        assert error_of(at(url)) == (
            f"{LOCAL}: the vendor has no such model (HTTP 404: Error code: 404 - The model `base` "
            "does not exist); mend the name."
        )


def test_a_vendor_that_fails_once_is_asked_again():
    with server(in_order((503, b"Busy"), (200, completion()))) as (url, requests):
        engine = Vendor([LOCAL], model_args={"base_url": url}, tries=2)
        ((_, found),) = engine.answer(["Hej?"], SHORT, seeds=[1])
    assert found[0].text == "Hej!"
    assert len(requests) == 2


def test_a_vendor_that_cannot_be_reached_is_named():
    assert error_of(at("http://127.0.0.1:9/v1")) == (
        f"{LOCAL} cannot be reached, or breaks off (All connection attempts failed; tried 1 "
        "times); start the server, or mend the address."
    )


def test_a_vendor_that_hangs_is_given_up():
    async def reply(prompt, config):
        await asyncio.sleep(30)

    assert error_of(mock(reply, timeout=1, tries=1)) == (
        "mockllm/model gave no answer within 1 seconds, 1 times; ask fewer prompts at once, allow "
        "more time, or see the server's log."
    )


def test_whatever_else_a_provider_raises_is_one_sentence():
    def reply(prompt, config):
        raise ValueError("strange\nin many lines")

    assert error_of(mock(reply)) == (
        f"mockllm/model cannot be asked (ValueError: strange); see {PAGE}."
    )


@pytest.mark.parametrize("finish", ["model_length", "tool_calls", "unknown"])
def test_an_answer_that_ends_otherwise_is_named(finish):
    assert error_of(mock(lambda *_: said(finish=finish))) == (
        f"mockllm/model ended with {finish!r} (model_length: prompt and answer do not fit the "
        "model); ask for fewer new tokens, leave such prompts out, or take another model."
    )


def test_no_answer_is_named():
    empty = ModelOutput(model="mock", choices=[], usage=USAGE)
    assert error_of(mock(lambda *_: empty)).startswith("mockllm/model ended with no answer (")


# Models that there are not.


def test_the_package_that_is_needed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.model", None)
    assert error_of(Vendor(["openai/gpt-4o-mini"])) == (
        'openai/gpt-4o-mini is asked through Inspect AI; pip install "polydrift[inspect]".'
    )


@pytest.mark.parametrize("name", ["nonsense/model", "gpt-4o-mini"])
def test_an_unknown_provider_is_named(name):
    assert error_of(Vendor([name])) == (
        f"{name} names no provider that Inspect AI knows; write provider/model, like "
        f"openai/gpt-4o-mini ({PAGE})."
    )


def test_a_provider_s_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "anthropic", None)
    assert error_of(Vendor(["anthropic/claude-haiku-4-5"])) == (
        "anthropic/claude-haiku-4-5 needs a package that is not there, or too old; pip install "
        "anthropic."
    )


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("openai-api/far/base", "FAR_API_KEY"),
        ("openai-api/local/base", "LOCAL_BASE_URL"),
        ("together/base", "TOGETHER_API_KEY"),
    ],
)
def test_a_variable_that_is_not_set_is_named(name, variables, monkeypatch):
    monkeypatch.delenv(variables, raising=False)
    monkeypatch.delenv("INSPECT_EVAL_MODEL_BASE_URL", raising=False)
    assert error_of(Vendor([name])) == (
        f"{name} needs {variables} in the environment, which is not set; set it."
    )


def test_a_model_that_its_provider_cannot_make_is_named():
    assert error_of(Vendor(["openai-api/base"])) == (
        "openai-api/base cannot be used (openai-api model names must include a service prefix "
        f"(e.g. 'openai-api/service/model')); see {PAGE}."
    )


def test_settings_that_do_not_exist_are_named():
    assert error_of(Vendor(["mockllm/model"], settings={"tempo": 1, "Seed": 2})) == (
        "mockllm/model: Inspect AI's GenerateConfig has no Seed, tempo; mend `settings`."
    )
    bad = error_of(Vendor(["mockllm/model"], settings={"top_k": "many"}))
    assert bad.startswith("mockllm/model cannot be used (1 validation error for GenerateConfig")


@pytest.mark.parametrize("cache", ["", "4", "W", "4x", "forever"])
def test_a_time_that_is_none_is_named(cache):
    assert error_of(Vendor(["mockllm/model"], cache=cache)) == (
        f"answers cannot be kept for {cache!r}; write a number and one of s, m, h, D, W, M and Y, "
        'as in "4W".'
    )


def test_asking_prints_nothing(capfd):
    with server(lambda *_: (500, b"Busy")) as (url, _):
        error_of(at(url))
    list(mock(lambda *_: said(finish="content_filter")).answer(["a"], SHORT, seeds=[1]))
    assert capfd.readouterr() == ("", "")


def test_inspect_s_warnings_are_not_printed():
    code = (
        "import logging\n"
        "from polydrift.engine.interface import Decoding\n"
        "from polydrift.engine.vendor import Vendor\n"
        "list(Vendor(['nonsense/model']).answer(['a'], Decoding(), seeds=[1]))\n"
        "logging.getLogger('inspect_ai.model').warning('seeds are not supported')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
