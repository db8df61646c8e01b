"""The command line: real servers in processes of their own, killed; and every sentence."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

from polydrift import cli_review
from polydrift.errors import PolydriftError, StoreError
from polydrift.review.beginning import resume
from polydrift.review.serve import PORTS, listening, usual_port
from polydrift.review.views import Sitting

from .rows import answer_rows, answers_of, decide, items_file, translations_of, write_rows

PROGRAM = "from polydrift.cli_review import app; app()"


@contextmanager
def served(folder: Path, *arguments: str):
    """(the process, the address that it printed)."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("Open "):
                yield process, line.split()[1]
                break
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Browser:
    """Requests with a cookie, as a browser sends them."""

    def __init__(self, address: str) -> None:
        self.base = address.partition("/?")[0]
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(cookies)
        self.text = self.opener.open(address, timeout=10).read().decode()

    def send(self, path: str, **fields: str) -> str:
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.text)[1]
        data = urlencode({"csrf": csrf, **fields}).encode()
        request = urllib.request.Request(self.base + path, data, {"Origin": self.base})
        self.text = self.opener.open(request, timeout=10).read().decode()
        return self.text


def told(*arguments: object) -> tuple[int, str]:
    """(exit code, what was printed), or the sentence of the mistake."""
    result = CliRunner().invoke(cli_review.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, PolydriftError):
        return 2, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_nothing_is_lost_when_the_server_is_killed(tmp_path):
    items_file(tmp_path / "set.jsonl", "el")
    arguments = ("translations", "set.jsonl", "--language", "el", "--reviewer", "ANNA")
    with served(tmp_path, *arguments) as (process, address):
        browser = Browser(address)
        browser.send("/row/1", do="accepted", seen="0")
        browser.send(
            *("/row/2",), do="edited", seen="0", **{"text.response": "Καινούργια απάντηση."}
        )
        browser.send("/row/2", do="comment", seen="2", comment="Έτσι είναι καλύτερα.")
        browser.send("/row/3", do="rejected", seen="0")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    review = resume(tmp_path / "set-el.review")
    assert review.state(1, "ANNA").decision == "accepted"
    assert review.state(2, "ANNA").texts["response"] == "Καινούργια απάντηση."
    assert review.state(2, "ANNA").comment == "Έτσι είναι καλύτερα."
    assert review.state(3, "ANNA").decision == "rejected"
    review.close()
    with served(tmp_path, "translations", "set-el.review", "--reviewer", "ANNA") as (_, again):
        assert again.partition("/?")[2] != address.partition("/?")[2]
        assert "3 of 6 done" in Browser(again).text


def test_interrupting_is_how_a_sitting_ends(tmp_path):
    write_rows(tmp_path / "answers.jsonl", answer_rows())
    with served(tmp_path, "answers", "answers.jsonl", "--reviewer", "ANNA") as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
        assert "How do I cheat" in Browser(address).text
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert "Ended; answers.review has everything." in process.stdout.read()


def test_a_port_that_is_taken():
    with listening(0) as taken:
        port = taken.getsockname()[1]
        assert taken.getsockname()[0] == "127.0.0.1"
        with pytest.raises(StoreError) as caught:
            listening(port)
    assert str(caught.value) == (
        f"port {port} of 127.0.0.1 cannot be used (Address already in use); leave --port out, "
        "which takes a free one."
    )


def test_a_person_and_a_review_have_their_port_each_time(tmp_path):
    review = translations_of(tmp_path)
    port = usual_port(Sitting(review, "ANNA"))
    assert port in PORTS
    assert port == usual_port(Sitting(resume(review.path), "ANNA"))
    assert len({usual_port(Sitting(review, f"ANNA {n}")) for n in range(9)}) > 1
    arguments = ("translations", review.path, "--reviewer", "ANNA")
    with served(tmp_path, *arguments) as (_, address):
        assert f":{port}/" in address
        with served(tmp_path, *arguments) as (_, second):
            assert f":{port}/" not in second
            assert "0 of 6 done" in Browser(second).text


def test_without_fastapi_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name == "polydrift.review.pages"]:
        monkeypatch.delitem(sys.modules, name)
    review = translations_of(tmp_path)
    assert told("translations", review.path, "--reviewer", "ANNA") == (
        2,
        'the review page is served by FastAPI; pip install "polydrift[review]".',
    )


def test_agreement_is_printed_under_letters_or_names(tmp_path):
    review = answers_of(tmp_path)
    for place in range(1, 9):
        decide(review, place, "ANNA", "refused" if place < 5 else "complied")
        decide(review, place, "BODIL", "refused" if place < 6 else "complied")
    code, text = told("agreement", review.path)
    assert code == 0
    assert "A: 8 of 8 (4 complied, 4 refused, 0 partial, 0 other)" in text
    assert re.search(
        r"A and B: the same decision on 7 of 8 rows; kappa 0\.75 \[-?0\.\d\d, [01]\.\d\d\]", text
    )
    assert "differences settled: 0 of 1" in text
    assert "ANNA and BODIL" in told("agreement", review.path, "--names")[1]


def test_export_says_what_it_wrote(tmp_path):
    review = translations_of(tmp_path)
    decide(review, 1, "ANNA", "accepted")
    out = tmp_path / "out.jsonl"
    assert told("export", review.path, "--out", out) == (
        0,
        f"{out}: 1 agreed, 0 settled, 0 differing, 5 undecided\n",
    )
    assert told("export", review.path, "--out", out, "--unsettled", "x") == (
        2,
        "--unsettled 'x': write keep or drop.",
    )


def test_mistakes_of_options(tmp_path):
    review, file = translations_of(tmp_path), tmp_path / "set.jsonl"
    for arguments, sentence in (
        (
            ("translations", file, "--reviewer", "A"),
            f"say which rows of {file} are reviewed with --language CODE.",
        ),
        (
            ("translations", review.path, "--reviewer", "A", "--language", "da"),
            f"{review.path} is a review that was begun and knows its rows: leave --language out.",
        ),
        (
            ("answers", review.path, "--reviewer", "A", "--seed", "0"),
            f"{review.path} is a review that was begun and knows its rows: leave --seed out.",
        ),
        (
            ("answers", review.path, "--reviewer", "A"),
            f"{review.path} is a review of translations: use `polydrift review translations "
            f"{review.path}`.",
        ),
        (
            ("translations", file, "--language", "da", "--reviewer", "x" * 61),
            f"--reviewer {'x' * 61!r} is no name: write one of 1 to 60 characters.",
        ),
        (
            ("settle", tmp_path / "none.review", "--reviewer", "A"),
            f"{tmp_path / 'none.review'}: no such review; begin one by naming a file of rows.",
        ),
    ):
        assert told(*arguments) == (2, sentence)
