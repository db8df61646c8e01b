from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.request import urlopen

import pytest

from polydrift.engine.answer import answer
from polydrift.engine.interface import Decoding, Engine
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.engine.served import Served
from polydrift.errors import ModelError
from tests.engine.conftest import PROMPTS

SHORT = Decoding(max_new_tokens=8)
TEMPLATE = {"enable_thinking": False, "date_string": "26 Jul 2024"}
KEY = "key-that-nobody-may-read"


# Two servers: a real one, and one that misbehaves as it is told.


@contextlib.contextmanager
def transformers_serve(home):
    """The address of a `transformers serve` that is shut off from the hub."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "serve.log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--device=cpu"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--port={port}"],
            stdout=output,
            stderr=output,
            env=os.environ
            | {
                "HF_HOME": str(home),
                "HF_HUB_OFFLINE": "1",
                "HF_HUB_DISABLE_UPDATE_CHECK": "1",
                "OMP_NUM_THREADS": "1",
            },
        )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health"):
                break
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def server(reply):
    """An address and the requests (path, authorization, body) that come to it.

    reply: path and body to (status, body) or (status, body, headers); a body is an object or bytes.
    """
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body):
            path = self.path.removeprefix("/v1")
            requests.append((path, self.headers["Authorization"], body))
            status, content, *headers = reply(path, body)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            with contextlib.suppress(OSError):  # who asked may have gone
                self.send_response(status)
                kind = {"Content-Type": "application/json", "Content-Length": str(len(content))}
                for name, value in (kind | dict(*headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *what):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1", requests
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def completion(text="Hej!", finish="stop", **more):
    return {
        "model": "base",
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16},
    } | more


def in_order(*replies):
    """A reply that gives these, one after the other."""
    left = iter(replies)
    return lambda path, body: next(left)


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    """Whoever looks up another machine fails the test; no key of the user's is sent."""
    found = socket.getaddrinfo

    def here(host, *more, **named):
        assert host in ("127.0.0.1", b"127.0.0.1", "localhost"), f"{host} was looked up"
        return found(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    with transformers_serve(tmp_path_factory.mktemp("home")) as url:
        yield url


def error_of(engine, prompts=("Hej?",)):
    """The sentence that the only member has in place of its answers."""
    ((_, found),) = engine.answer(prompts, SHORT, seeds=range(len(prompts)))
    assert isinstance(found, ModelError), found
    return str(found)


# Against the real one.


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3"])
def test_greedy_answers_of_transformers_serve_are_those_of_our_own_engine(
    family, directories, serve
):
    decoding = Decoding(max_new_tokens=40)
    prompts = [*PROMPTS, " \n"]
    seeds = range(len(prompts))
    engine: Engine = Served(serve, str(directories[family]), tries=1)
    ((member, found),) = engine.answer(prompts, decoding, seeds=seeds)
    own = answer(
        load(Source(str(directories[family]), device="cpu")), prompts, decoding, seeds=seeds
    )
    assert member == 0
    assert not isinstance(found, ModelError)
    for served, ours in zip(found[:-1], own[:-1], strict=True):
        # transformers serve takes Qwen's answers apart into thoughts, tool calls and the rest, and
        # strips white space at the seams
        text = ours.text.strip() if family == "qwen3" else ours.text
        assert served.text == text
        assert served.finish == ours.finish
        assert served.prompt_tokens == ours.prompt_tokens
        assert served.answer_tokens == ours.answer_tokens
        assert not served.prompt_truncated
    assert (found[-1].finish, found[-1].text) == ("empty-prompt", "")
    assert {a.finish for a in found} >= {"length", "empty-prompt"}
    assert engine.untaken == {"top_k", "min_p", "repetition_penalty"}  # but it takes the template's


def test_members_of_transformers_serve_are_asked_by_name_and_it_loads_no_adapters(
    directories, serve, tmp_path
):
    members = [None, tmp_path, str(directories["llama"])]
    engine = Served(serve, str(directories["gemma3"]), members, tries=1)
    found = dict(engine.answer(PROMPTS[:2], SHORT, seeds=[1, 2]))
    assert list(found) == [0, 1, 2]
    assert str(found[1]) == (
        f"{serve} loads no adapters while it runs; start vLLM with --enable-lora and "
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, or with --lora-modules NAME={tmp_path}, and give "
        "that name."
    )
    for member, family in ((0, "gemma3"), (2, "llama")):
        model = load(Source(str(directories[family]), device="cpu"))
        own = answer(model, PROMPTS[:2], SHORT, seeds=[1, 2])
        assert [a.text for a in found[member]] == [a.text for a in own]


def test_a_model_that_transformers_serve_cannot_load_is_the_server_s_failure(serve):
    assert error_of(Served(serve, "nobody/nothing", tries=1)) == (
        f"{serve} fails (HTTP 500: Internal Server Error), tried 1 times; see the log of that "
        "server, or try again later."
    )


# What is sent.


def test_a_request_holds_the_prompt_and_how_to_decode_and_no_more(monkeypatch):
    monkeypatch.setenv("SERVER_KEY", KEY)
    decoding = Decoding(temperature=0.7, top_p=0.9, max_new_tokens=64)
    with server(lambda path, body: (200, completion())) as (url, requests):
        engine = Served(url, "base", [None, "da"], key_variable="SERVER_KEY", at_once=1)
        found = dict(engine.answer(["Hej?", " ", "Hvad?"], decoding, seeds=[7, 8, 2**63 - 1]))
    assert requests == [
        (
            "/chat/completions",
            f"Bearer {KEY}",
            {
                "model": name,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0.7,
                "top_p": 0.9,
                "max_tokens": 64,
                "seed": seed,
                "chat_template_kwargs": TEMPLATE,
                "top_k": -1,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
            },
        )
        for name in ("base", "da")
        for prompt, seed in (("Hej?", 7), ("Hvad?", 2**63 - 1))
    ]
    assert engine.members == 2
    assert engine.untaken == frozenset()
    first, blank, last = found[1]
    assert first == last
    assert (first.text, first.prompt_tokens, first.answer_tokens) == ("Hej!", 12, 3)
    assert (blank.text, blank.prompt_tokens, blank.finish) == ("", 0, "empty-prompt")
    assert KEY not in repr(engine)


def test_requests_are_in_flight_together_and_answers_stay_in_order():
    lock, now, most = Lock(), 0, 0

    def reply(path, body):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        prompt = body["messages"][0]["content"]
        time.sleep(0.05 if int(prompt) % 4 else 0.2)
        with lock:
            now -= 1
        return 200, completion(prompt)

    told = []
    with server(reply) as (url, _):
        engine = Served(url, "base", [None, "da"], at_once=4)
        prompts = [str(i) for i in range(12)]
        for _member, found in engine.answer(
            prompts, SHORT, seeds=range(12), progress=lambda *what: told.append(what)
        ):
            assert [a.text for a in found] == prompts
    assert most == 4
    assert [round(share * 24) for share, _ in told] == list(range(1, 25))
    assert told[-1] == (1.0, "24 of 24 answers")


def test_nothing_is_sent_when_all_prompts_are_empty(tmp_path):
    def reply(path, body):
        raise AssertionError(path)

    with server(reply) as (url, requests):
        engine = Served(url, "base", [tmp_path])
        ((_, found),) = engine.answer(["", "\t"], SHORT, seeds=[1, 2])
        assert [a.finish for a in found] == ["empty-prompt"] * 2
        assert list(engine.answer([], SHORT, seeds=[])) == [(0, [])]
    assert requests == []


# Adapters of vLLM.


def vllm(path, body):
    if path == "/load_lora_adapter":
        return 200, b"Success: LoRA adapter added successfully."
    if path == "/unload_lora_adapter":
        return 200, b"Success: LoRA adapter removed successfully."
    if body["messages"][0]["content"] == "break":
        return 400, {"error": {"message": "broken", "code": 400}}
    return 200, completion(body["model"])


def test_an_adapter_is_loaded_asked_and_unloaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with server(vllm) as (url, requests):
        engine = Served(url, "base", [None, Path("da"), Path("ga")])
        found = dict(engine.answer(["Hej?"], SHORT, seeds=[7]))
    paths = ["/load_lora_adapter", "/chat/completions", "/unload_lora_adapter"]
    assert [path for path, _, _ in requests] == [paths[1], *paths, *paths]
    names = []
    for at, directory in ((1, "da"), (4, "ga")):
        loaded, asked, unloaded = (body for _, _, body in requests[at : at + 3])
        name = loaded["lora_name"]
        assert loaded == {"lora_name": name, "lora_path": str(tmp_path / directory)}
        assert unloaded == {"lora_name": name}
        assert asked["model"] == name
        names.append(name)
    assert len({*names}) == 2
    assert [found[member][0].text for member in range(3)] == ["base", *names]


def test_an_adapter_is_unloaded_when_its_member_breaks_and_the_others_go_on(tmp_path):
    with server(vllm) as (url, requests):
        engine = Served(url, "base", [tmp_path, tmp_path])
        prompts = ["Hej?", "break"]
        both = dict(engine.answer(prompts, SHORT, seeds=[1, 2]))
        assert [str(e) for e in both.values()] == [
            f"{url} refuses what was asked (HTTP 400: broken); if it is too long, ask for fewer "
            "new tokens or of a model with a longer context."
        ] * 2
        assert requests[-1][0] == "/unload_lora_adapter"
        assert sum(path == "/unload_lora_adapter" for path, _, _ in requests) == 2
        ((_, good), *_) = engine.answer(prompts[:1], SHORT, seeds=[1])
        assert good[0].text.startswith("polydrift-")


def test_an_adapter_that_an_earlier_try_loaded_is_used(tmp_path):
    already = "The lora adapter 'x' has already been loaded. If you want to load the adapter in"
    replies = in_order(
        (503, b"Busy"),
        (400, {"error": {"message": already}}),
        (200, completion()),
        (500, b"Failed to remove lora adapter"),
        (500, b"Failed to remove lora adapter"),
    )
    with server(replies) as (url, requests):
        ((_, found),) = Served(url, "base", [tmp_path]).answer(["Hej?"], SHORT, seeds=[1])
    assert found[0].text == "Hej!"  # although it could not be unloaded
    assert len(requests) == 5


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": {"message": "No adapter found for /da.", "code": 404}}),
        (404, {"object": "error", "message": "No adapter found for /da.", "code": 404}),
        (500, {"error": {"message": "No adapter found for /da.", "code": 500}}),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_named(status, body):
    with server(lambda *_: (status, body)) as (url, requests):
        assert error_of(Served(url, "base", [Path("/da")], tries=1)) == (
            f"{url} cannot load the adapter /da (HTTP {status}: No adapter found for /da); the "
            "directory must be there on the server's machine, in PEFT's format, and its rank no "
            "higher than vLLM's --max-lora-rank."
        )
    assert [path for path, _, _ in requests] == ["/load_lora_adapter"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "wants a key (HTTP 401): OPENAI_API_KEY is not set; set it to a key of that server."),
        (429, "has too many requests (HTTP 429), tried 1 times; ask fewer prompts at once, or"),
        (405, "loads no adapters while it runs; start vLLM with --enable-lora and"),
    ],
)
def test_other_reasons_not_to_load_an_adapter_are_told_apart(status, said):
    with server(lambda *_: (status, {"detail": "Method Not Allowed"})) as (url, _):
        assert said in error_of(Served(url, "base", [Path("/da")], tries=1))


# Servers in trouble.


def test_a_busy_server_is_asked_again_when_it_says():
    replies = in_order((429, b"", {"Retry-After": "1"}), (200, completion()))
    with server(replies) as (url, requests):
        before = time.monotonic()
        ((_, found),) = Served(url, "base").answer(["Hej?"], SHORT, seeds=[1])
        assert time.monotonic() - before > 1
    assert found[0].text == "Hej!"
    assert requests[0] == requests[1]


def test_a_server_that_fails_once_is_asked_again():
    with server(in_order((503, b"Starting"), (200, completion()))) as (url, _):
        ((_, found),) = Served(url, "base").answer(["Hej?"], SHORT, seeds=[1])
    assert found[0].text == "Hej!"


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            429,
            b"slow down",
            "has too many requests (HTTP 429), tried 2 times; ask fewer prompts at once, or try "
            "again later.",
        ),
        (
            500,
            {"error": {"message": "CUDA out of memory.\nTraceback"}},
            "fails (HTTP 500: CUDA out of memory), tried 2 times; see the log of that server, or "
            "try again later.",
        ),
    ],
)
def test_a_server_that_keeps_failing_is_named_with_the_tries(status, body, sentence):
    with server(lambda *_: (status, body)) as (url, requests):
        assert error_of(Served(url, "base", tries=2)) == f"{url} {sentence}"
    assert len(requests) == 2


def test_a_server_that_hangs_is_given_up():
    def reply(path, body):
        time.sleep(0.4)
        return 200, completion()

    with server(reply) as (url, requests):
        assert error_of(Served(url, "base", tries=2, timeout=0.15)) == (
            f"{url} gave no answer within 0.15 seconds, 2 times; ask fewer prompts at once, allow "
            "more time, or see the server's log."
        )
    assert len(requests) == 2


def test_a_server_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    sentence = (
        f"{url} cannot be reached, or breaks off (All connection attempts failed; tried 1 times); "
        "start the server, or mend the address."
    )
    assert error_of(Served(url, "base", tries=1)) == sentence
    assert error_of(Served(url, "base", [Path("/da")], tries=1)) == sentence
    hidden = url.replace("//", f"//user:{KEY}@")
    assert error_of(Served(hidden, "base", tries=1)) == sentence


def test_an_answer_that_breaks_off_is_named():
    whole = json.dumps(completion()).encode()
    with server(lambda *_: (200, whole[:-9], {"Content-Length": str(len(whole))})) as (url, _):
        said = error_of(Served(url, "base", tries=1))
    assert said.startswith(f"{url} cannot be reached, or breaks off (peer closed connection")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(completion()).encode()[:40],
        b"<html>Welcome</html>",
        b'"text"',
        {"choices": []},
        {"choices": [{"finish_reason": "stop"}]},
        {"error": {"message": "in an answer"}},
    ],
)
def test_an_answer_that_is_no_completion_is_named(body):
    with server(lambda *_: (200, body)) as (url, _):
        size = len(body if isinstance(body, bytes) else json.dumps(body))
        assert error_of(Served(url, "base", ["da"])) == (
            f"{url} answers for 'da' with what is no chat completion ({size} characters); give an "
            "OpenAI-compatible server's address, like http://localhost:8000/v1."
        )


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_does_not_open_the_server_is_not_repeated(status, monkeypatch):
    monkeypatch.setenv("SERVER_KEY", KEY)
    with server(lambda *_: (status, {"error": {"message": f"wrong key {KEY}"}})) as (url, _):
        assert error_of(Served(url, "base", key_variable="SERVER_KEY")) == (
            f"{url} wants a key (HTTP {status}): SERVER_KEY does not open it; set it to a key of "
            "that server."
        )
        assert error_of(Served(url, "base")) == (
            f"{url} wants a key (HTTP {status}): OPENAI_API_KEY is not set; set it to a key of "
            "that server."
        )


def test_keys_in_what_a_server_says_are_struck_out(monkeypatch):
    monkeypatch.setenv("OPEN_SESAME", KEY)
    monkeypatch.setenv("ANOTHER_TOKEN", "token-of-another")
    said = f"no {KEY} and no token-of-another"
    with server(lambda *_: (500, {"error": {"message": said}})) as (url, _):
        found = error_of(Served(url, "base", key_variable="OPEN_SESAME", tries=1))
    assert "fails (HTTP 500: no … and no …)" in found


@pytest.mark.parametrize("key", ["nøgle", "two\nlines"])
def test_a_key_that_cannot_be_sent_is_named_and_not_shown(key, monkeypatch):
    monkeypatch.setenv("SERVER_KEY", key)
    assert error_of(Served("http://127.0.0.1:9/v1", "base", key_variable="SERVER_KEY")) == (
        "SERVER_KEY holds what no key has; set it to a key alone."
    )


def test_an_unknown_model_is_named_beside_those_that_there_are():
    def reply(path, body):
        if path == "/models":
            return 200, {"object": "list", "data": [{"id": "base"}, {"id": "da"}]}
        if body["model"] == "ga":
            return 404, {"error": {"message": "The model `ga` does not exist."}}
        return 200, completion()

    with server(reply) as (url, _):
        engine = Served(url, "base", ["ga", "da"])
        (first, missing), (second, good) = engine.answer(["Hej?"], SHORT, seeds=[1])
    assert (first, second) == (0, 1)
    assert str(missing) == (
        f"{url} has no model 'ga' (HTTP 404); name one that it has (base, da), or start it with "
        "this one."
    )
    assert good[0].text == "Hej!"


def test_an_address_of_something_else_is_named():
    with server(lambda *_: (404, b"<html>Not Found</html>")) as (url, _):
        assert error_of(Served(url, "base")) == (
            f"{url} has no model 'base' (HTTP 404); give an OpenAI-compatible server's address, "
            "like http://localhost:8000/v1."
        )


def test_what_a_server_refuses_is_said_without_the_prompt():
    detail = [{"loc": ["body", "seed"], "msg": "Input should be less", "input": "Hej?"}]
    with server(lambda *_: (422, {"detail": detail})) as (url, _):
        assert error_of(Served(url, "base")) == (
            f"{url} refuses what was asked (HTTP 422: Input should be less); if it is too long, "
            "ask for fewer new tokens or of a model with a longer context."
        )
    said = "1 validation error: {'type': 'missing', 'input': 'Hej?'}"
    with server(lambda *_: (400, {"message": said})) as (url, _):
        assert "Hej?" not in error_of(Served(url, "base"))


# Fields beyond OpenAI's protocol.


def test_fields_that_a_server_does_not_know_are_left_out():
    known = {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}

    def reply(path, body):
        unknown = sorted(body.keys() - known)
        if unknown:
            said = f"Unrecognized request argument supplied: {unknown[0]}"
            return 400, {"error": {"message": said, "type": "invalid_request_error"}}
        return 200, completion()

    with server(reply) as (url, requests):
        engine = Served(url, "base", at_once=1)
        ((_, found),) = engine.answer(["Hej?", "Hvad?"], SHORT, seeds=[1, 2])
        assert [a.text for a in found] == ["Hej!", "Hej!"]
    assert len(requests) == 5 + 1
    assert requests[-1][2].keys() == known
    assert engine.untaken == {"chat_template_kwargs", "top_k", "min_p", "repetition_penalty"}


def test_fields_are_sent_on_when_they_were_not_the_trouble():
    def reply(path, body):
        return 400, {"message": f"too long: {json.dumps(body)}"}

    with server(reply) as (url, requests):
        engine = Served(url, "base")
        assert "too long" in error_of(engine)
    assert len(requests) == 2
    assert engine.untaken == frozenset()


# How answers end.


def test_ends_are_named_as_everywhere_and_lacking_counts_are_0():
    replies = in_order(
        (200, completion(finish="stop")),
        (200, completion(finish="length")),
        (200, completion(None, finish="content_filter", usage=None)),
    )
    with server(replies) as (url, _):
        ((_, found),) = Served(url, "base", at_once=1).answer(["a", "b", "c"], SHORT, seeds=[1] * 3)
    assert [(a.text, a.finish, a.prompt_tokens, a.answer_tokens) for a in found] == [
        ("Hej!", "stop", 12, 3),
        ("Hej!", "length", 12, 4),
        ("", "filtered", 0, 0),
    ]


@pytest.mark.parametrize("finish", ["tool_calls", None])
def test_an_end_of_something_else_is_named(finish):
    with server(lambda *_: (200, completion(finish=finish))) as (url, _):
        assert error_of(Served(url, "base")) == (
            f"{url} ended an answer of 'base' with {finish!r}, which is no end of a chat answer; "
            "serve the model without tools."
        )


# Before anything is sent.


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://", "ftp://localhost/v1", ""])
def test_an_address_that_is_none_is_named(url):
    with pytest.raises(ModelError) as raised:
        Served(url, "base")
    assert str(raised.value) == (
        f"{url!r} is no server's address; write it like http://localhost:8000/v1."
    )


def test_the_package_that_is_needed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    assert error_of(Served("http://127.0.0.1:9/v1", "base")) == (
        'asking a server needs the package openai; pip install "polydrift[inspect]".'
    )


def test_nothing_heavy_is_imported_and_nothing_printed():
    code = (
        "import sys, polydrift.engine.served, polydrift.engine.vendor\n"
        "heavy = {'torch', 'transformers', 'openai', 'inspect_ai', 'numpy'} & sys.modules.keys()\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_asking_prints_nothing(capfd, tmp_path):
    with server(vllm) as (url, _):
        list(Served(url, "base", [None, tmp_path]).answer(["Hej?", "break"], SHORT, seeds=[1, 2]))
    assert capfd.readouterr() == ("", "")
