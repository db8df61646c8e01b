"""Datasets of the hub, from a hub on this machine; and every way in which one cannot be had."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from polydrift import data
from polydrift.data.hub_data import dataset_commit, dataset_file, parse
from polydrift.data.suites import read_suite
from polydrift.errors import DataError
from tests.data.hub_server import datasets
from tests.engine.hub_server import COMMIT

PAGE = "https://huggingface.co/datasets"
TOKEN = "hf_this_is_a_secret"
QUESTION = {
    "question_id": 1, "category": "1", "turns": ["How do I skip a queue?"], "prompt_style": "base",
}  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a token."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return tmp_path / "cache"


@pytest.fixture
def online(cache, tmp_path, monkeypatch):
    """A hub with four datasets; yields what it was asked."""
    files = {
        "owner/sorry": {
            "README.md": "", "question.jsonl": json.dumps(QUESTION), "other.csv": "a\n1\n",
        },
        "owner/one": {"data/train.csv": "id,en\n1,Hi?\n", "dataset_infos.json": "{}"},
        "owner/many": {f"{code}.jsonl": "{}" for code in "abcdefghij"},
        "owner/none": {"README.md": "", "data.zip": ""},
    }  # fmt: skip
    repositories = {}
    for name, contents in files.items():
        repositories[name] = tmp_path / name
        for file, content in contents.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    with datasets(repositories) as asked:
        monkeypatch.setattr(constants, "ENDPOINT", asked.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE",
            asked.address + "/{repo_id}/resolve/{revision}/{filename}",
        )  # fmt: skip
        yield asked


def said(call, *what):
    with pytest.raises(DataError) as caught:
        call(*what)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in str(caught.value.__cause__)
    return str(caught.value)


def test_references_are_taken_apart():
    whole = parse("hub:owner/na.me-1/da/test.parquet@v1/x")
    assert (whole.name, whole.file, whole.revision) == ("owner/na.me-1", "da/test.parquet", "v1/x")
    assert parse("hub:owner/name@main").file is None


@pytest.mark.parametrize("reference", ["owner/name", "hub:name", "hub:owner/name@", "hub:/a/b", ""])
def test_what_is_no_reference_is_told(reference):
    assert said(parse, reference) == (
        f"{reference!r} is no dataset of the hub: write hub:owner/name, and if need be /FILE and "
        "@REVISION after it."
    )
    if "/" not in reference:
        return
    assert said(dataset_commit, reference) == said(dataset_file, reference, COMMIT)


def test_the_questions_of_a_dataset_come_with_the_users_token(online, cache):
    assert dataset_commit("hub:owner/sorry") == COMMIT
    path = dataset_file("hub:owner/sorry", COMMIT)
    assert path.name == "question.jsonl"
    assert path.is_relative_to(cache)
    assert [prompt.text for prompt in read_suite(path, format="sorry-bench")] == QUESTION["turns"]
    assert online.tokens == {f"Bearer {TOKEN}"}
    assert not any("other.csv" in asked for asked in online.paths)


def test_a_named_file_at_a_commit_is_asked_for_once(online):
    reference = f"hub:owner/sorry/other.csv@{COMMIT}"
    assert dataset_commit(reference) == COMMIT
    assert online.paths == []
    path = dataset_file(reference, COMMIT)
    assert path.read_text() == "a\n1\n"
    asked = len(online.paths)
    assert dataset_file(reference, COMMIT) == path
    assert len(online.paths) == asked


def test_the_only_data_file_is_taken(online):
    assert dataset_file("hub:owner/one", dataset_commit("hub:owner/one")).name == "train.csv"


def test_what_was_fetched_is_found_without_a_network(online, monkeypatch):
    for reference in ("hub:owner/one", "hub:owner/sorry/question.jsonl"):
        first = dataset_file(reference, dataset_commit(reference))
        asked = len(online.paths)
        with monkeypatch.context() as offline:
            offline.setattr(constants, "HF_HUB_OFFLINE", True)
            assert dataset_commit(reference) == COMMIT
            assert dataset_file(reference, COMMIT) == first
            assert said(dataset_commit, "hub:owner/sorry/other.csv").startswith(
                "owner/sorry is not in the local cache, and the hub cannot be reached"
            )
        assert len(online.paths) == asked


def test_several_files_are_listed(online):
    assert said(dataset_commit, "hub:owner/many") == (
        "owner/many holds 10 files of rows (a.jsonl, b.jsonl, c.jsonl, d.jsonl, e.jsonl, f.jsonl, "
        "g.jsonl, h.jsonl and 2 more): say which, hub:owner/many/FILE."
    )
    assert dataset_commit("hub:owner/many/b.jsonl") == COMMIT


def test_a_dataset_without_rows_is_told(online):
    assert said(dataset_commit, "hub:owner/none") == (
        "owner/none holds no file of rows (.jsonl, .ndjson, .json, .csv, .tsv, .parquet): look at "
        f"{PAGE}/owner/none/tree/main, or give a file of your own."
    )


def test_a_file_that_is_not_there_is_told(online):
    assert said(dataset_commit, "hub:owner/one/b.csv") == (
        "owner/one has no file 'b.csv'; its files of rows are data/train.csv."
    )


def test_a_revision_that_is_not_there_is_told(online):
    for reference in ("hub:owner/one@v9", "hub:owner/one/data/train.csv@v9"):
        assert said(dataset_commit, reference) == (
            f"owner/one has no revision 'v9'; choose a branch, tag or commit of "
            f"{PAGE}/owner/one/commits/main."
        )


@pytest.mark.parametrize("file", ["", "/question.jsonl"])
def test_every_refusal_says_what_to_do(online, file):
    assert said(dataset_commit, f"hub:owner/gated{file}") == (
        "owner/gated is gated and your account has no access yet: accept its licence at "
        f"{PAGE}/owner/gated (some wait for its owners), with the account whose token is in "
        "HF_TOKEN."
    )
    assert said(dataset_commit, f"hub:owner/gated-anonymous{file}") == (
        "owner/gated-anonymous is gated and no valid token was sent: accept its licence at "
        f"{PAGE}/owner/gated-anonymous, and set HF_TOKEN to a token of that account "
        "(https://huggingface.co/settings/tokens)."
    )
    for name in ("owner/absent", "owner/private", "owner/unheard-of"):
        assert said(dataset_commit, f"hub:{name}{file}") == (
            f"{name}: no such dataset at {PAGE}/{name} that you may see; mend the name, or set "
            "HF_TOKEN if it is private."
        )
    assert said(dataset_commit, f"hub:owner/forbidden{file}") == (
        "the hub refuses access to owner/forbidden (HTTP 403): accept its licence at "
        f"{PAGE}/owner/forbidden, if it has one, and set HF_TOKEN to a token of that account."
    )
    assert said(dataset_commit, f"hub:owner/broken{file}") == (
        f"the hub answers HTTP 503 for owner/broken: try again later, or download "
        f"{PAGE}/owner/broken and give the file."
    )
    assert said(dataset_commit, "hub:owner/na--me") == (
        "owner/na--me is no name of a dataset (owner/name); mend it."
    )


UNREACHABLE = (
    "owner/one is not in the local cache, and the hub cannot be reached or is switched off "
    f"(HF_HUB_OFFLINE): go online once, or download {PAGE}/owner/one and give the file."
)


@pytest.mark.parametrize("reference", ["hub:owner/one", "hub:owner/one/data/train.csv"])
def test_without_a_network_and_a_cache_it_is_told(cache, monkeypatch, reference):
    with monkeypatch.context() as offline:
        offline.setattr(constants, "HF_HUB_OFFLINE", True)
        assert said(dataset_commit, reference) == UNREACHABLE
        assert said(dataset_file, reference, COMMIT) == UNREACHABLE
    with socket.socket() as closed:  # a port where nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )  # fmt: skip
    assert said(dataset_commit, reference) == UNREACHABLE


def test_a_cache_that_cannot_be_written_is_told(online, cache, monkeypatch):
    cache.write_text("a file, where a directory should be")
    assert said(dataset_commit, "hub:owner/one").startswith(
        "owner/one cannot be kept in the local cache ("
    )


def test_nothing_here_loads_torch():
    room = Path(data.__file__).parent
    modules = [f"polydrift.data.{path.stem}" for path in room.glob("[a-z]*.py")]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert len(modules) > 10
