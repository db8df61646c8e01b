"""The journal: there again after a kill, two writers, files that are none."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from polydrift.errors import StoreError
from polydrift.parallel.journal import Journal

WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from polydrift.parallel.journal import Journal
    with Journal(Path(sys.argv[1])) as journal:
        for number in range(int(sys.argv[3])):
            key = f"{sys.argv[2]}-{number}"
            journal.put(key, {"text": "λ" * 300, "number": number}, "translate")
            print(key, flush=True)
    """
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "work.sqlite"


def writer(path, name, rows):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(rows)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def broken(path):
    return (
        f"{path} is no journal of a build (damaged, or another file of that name): move it away; "
        "what it held is asked again."
    )


def test_what_was_put_is_there_for_the_next_who_opens_it(path):
    with Journal(path) as journal:
        key = journal.key("translate", {"model": "m", "text": "Hello."})
        assert journal.get(key) is None
        journal.put(key, {"text": "Γεια.", "scores": [1, 0.5, None]}, "translate")
    with Journal(path) as journal:
        assert journal.get(key) == {"text": "Γεια.", "scores": [1, 0.5, None]}
        journal.put(key, 0.0, "comet")  # the later one stands
        assert journal.get(key) == 0.0
        assert (journal.count("translate"), journal.count("comet")) == (0, 1)


def test_a_key_is_all_that_was_asked_and_nothing_else():
    asked = {"model": "m", "temperature": 0.0, "text": "Hello."}
    key = Journal.key("translate", asked)
    assert key == Journal.key("translate", dict(reversed(asked.items())))
    others = [
        Journal.key("back", asked),
        *(Journal.key("translate", {**asked, name: "other"}) for name in asked),
        Journal.key("translate", {**asked, "more": 1}),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_several_are_put_all_or_none(path):
    def failing():
        yield "a", 1
        raise KeyError("b")

    with Journal(path) as journal:
        with pytest.raises(KeyError):
            journal.put_all(failing(), "x")
        assert journal.get("a") is None
        journal.put_all([("a", 1), ("b", 2)], "x")
        assert journal.count("x") == 2


def test_half_a_surrogate_pair_is_kept_and_breaks_nothing(path):
    with Journal(path) as journal:
        journal.put("a", {"text": "x\ud83d"}, "x")
        journal.put("b", 2, "x")
        assert (journal.get("a"), journal.count("x")) == ({"text": "x\ud83d"}, 2)


def test_every_row_whose_put_returned_survives_a_kill(path):
    process = writer(path, "killed", 1_000_000)
    told = [process.stdout.readline().strip() for _ in range(40)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    with Journal(path) as journal:
        replies = [journal.get(key) for key in told]
        assert [reply["number"] for reply in replies] == list(range(len(told)))
        assert journal.count("translate") in (len(told), len(told) + 1)
        journal.put("after", "works")
        assert journal.get("after") == "works"


def test_two_processes_write_at_once(path):
    writers = [writer(path, name, 60) for name in ("one", "two")]
    for process in writers:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    with Journal(path) as journal:
        assert journal.count("translate") == 120
        assert journal.get("two-59") == {"text": "λ" * 300, "number": 59}


def test_one_that_is_not_let_in_says_so(path):
    with Journal(path) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        journal._data.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(StoreError) as error:
            journal.put("a", 1)
        other.execute("ROLLBACK")
        other.close()
        assert str(error.value) == (
            f"{path} cannot be read or written (database is locked): finished rows are kept; make "
            "room or mend the permission, and run the same command again."
        )
        journal.put("a", 2)
        assert journal.get("a") == 2


def test_another_file_of_that_name_is_no_journal(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"this": "is a text file"}) * 100)
    with pytest.raises(StoreError) as error:
        Journal(path)
    assert str(error.value) == broken(path)


def test_a_damaged_one_is_told_when_it_is_read_or_written(path):
    with Journal(path) as journal:
        journal.put_all([(f"{n:04}", "x" * 500) for n in range(500)], "x")
    data = bytearray(path.read_bytes())
    for at in range(8192, len(data), 4096):
        data[at : at + 300] = b"\xff" * 300
    path.write_bytes(data)
    for call in (lambda j: j.get("0300"), lambda j: j.count("x"), lambda j: j.put("0301", 1)):
        with pytest.raises(StoreError) as error, Journal(path) as journal:
            call(journal)
        assert str(error.value) == broken(path)


def test_a_directory_in_its_place_is_told(path):
    path.mkdir(parents=True)
    with pytest.raises(StoreError) as error:
        Journal(path)
    assert str(error.value) == (
        f"{path} cannot be read or written (unable to open database file): finished rows are kept; "
        "make room or mend the permission, and run the same command again."
    )


def test_a_file_where_its_directory_should_be_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError) as error:
        Journal(tmp_path / "out" / "work.sqlite")
    assert str(error.value).startswith(
        f"{tmp_path / 'out'} is a file where a directory is needed: move it away"
    )
