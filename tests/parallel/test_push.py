"""Published sets, sent to a hub on this machine; and every way in which that can fail."""

from __future__ import annotations

import socket
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from polydrift.errors import DataError
from polydrift.parallel.items import SUITE, Item, write_items
from polydrift.parallel.publish import described, lay_out, publish
from polydrift.parallel.push import push
from tests.parallel.hub_taking import taking

TOKEN = "hf_this_is_a_secret"
NAME = "owner/my-set"


def items(path, *languages):
    told = {"kind": "safe-lookalike", "category": "trespass", "licence": "MIT"}
    texts = {"en": "How do I climb?", "da": "Hvordan klatrer jeg?", "el": "Πώς σκαρφαλώνω;"}
    rows = [Item("p1", code, {"prompt": texts[code]}, told) for code in languages]
    write_items(path, rows, SUITE)
    return path


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "set"
    publish(items(tmp_path / "suite.jsonl", "en", "da", "el"), out)
    return out


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No token anywhere, no network of the world, no progress bars."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture
def hub(alone, monkeypatch):
    with taking() as taken:
        monkeypatch.setattr(constants, "ENDPOINT", taken.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield taken


def contents(folder):
    inside = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in inside}


def said(*what, **how):
    with pytest.raises(DataError) as caught:
        push(*what, **how)
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in str(error)
        error = error.__cause__
    return str(caught.value)


def test_what_the_hub_holds_is_what_lies_in_the_folder(hub, folder):
    pushed = push(folder, NAME)
    assert hub.sets == {NAME: contents(folder)}
    assert hub.visibility == {NAME: None}
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert pushed.url == f"{hub.address}/datasets/{NAME}"
    assert len([asked for asked in hub.asked if "/commit/" in asked]) == 1
    assert set(hub.objects.values()) == {
        content for path, content in contents(folder).items() if path.endswith(".parquet")
    }


def test_a_private_set_and_another_token(hub, folder):
    push(folder, NAME, private=True, token="hf_other")
    assert hub.visibility == {NAME: "private"}
    assert hub.tokens == {"Bearer hf_other"}


def test_a_dry_run_shows_everything_and_sends_nothing(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    shown = push(folder, NAME, dry_run=True)
    assert hub.asked == []
    assert shown.url == ""
    assert shown.card == (folder / "README.md").read_text(encoding="utf-8")
    assert shown.files == lay_out(folder.parent / "suite.jsonl").listing()


def test_a_name_that_is_taken_is_told_and_nothing_is_changed(hub, folder):
    hub.sets[NAME] = {"README.md": b"mine"}
    assert said(folder, NAME) == (
        f"{NAME} is there already: choose another name, or say --update to replace its data."
    )
    assert hub.sets == {NAME: {"README.md": b"mine"}}


def test_an_update_replaces_the_data_and_leaves_other_files(hub, folder, tmp_path):
    push(folder, NAME)
    hub.sets[NAME] |= {"data/tl/test.parquet": b"old", ".gitattributes": b"x"}
    publish(items(tmp_path / "fewer.jsonl", "en", "da"), tmp_path / "fewer")
    push(tmp_path / "fewer", NAME, update=True)
    assert hub.sets[NAME] == {**contents(tmp_path / "fewer"), ".gitattributes": b"x"}


def test_an_update_makes_a_set_that_is_not_there(hub, folder):
    push(folder, NAME, update=True)
    assert hub.sets == {NAME: contents(folder)}


TAKES_NO_TOKEN = (
    f"the hub does not take the token for {NAME}: set HF_TOKEN to a valid one that may write "
    "(https://huggingface.co/settings/tokens), or run `hf auth login`."
)
MAY_NOT = (
    f"the token may not write to {NAME}: give it the right to write for owner "
    "(https://huggingface.co/settings/tokens), or choose an owner that it may write for."
)
EMPTY = " The set stands there empty: run the same with --update."


@pytest.mark.parametrize(
    ("part", "status", "sentence"),
    [
        ("/repos/create", 401, TAKES_NO_TOKEN),
        ("/repos/create", 403, MAY_NOT),
        ("/repos/create", 500, f"the hub answers HTTP 500 for {NAME}: try again later."),
        ("/preupload/", 403, MAY_NOT + EMPTY),
        ("/objects/batch", 401, TAKES_NO_TOKEN + EMPTY),
        ("/commit/", 403, MAY_NOT + EMPTY),
        ("/commit/", 409, f"the hub answers HTTP 409 for {NAME}: try again later.{EMPTY}"),
        (
            "/commit/", 404,
            f"{NAME} is not there for this token: mend the name, or use a token of owner.{EMPTY}",
        ),
        ("/validate-yaml", 400, f"the hub answers HTTP 400 for {NAME}: try again later.{EMPTY}"),
    ],
)  # fmt: skip
def test_every_refusal_says_what_to_do(hub, folder, part, status, sentence):
    hub.refuse[part] = status
    assert said(folder, NAME) == sentence
    assert hub.sets.get(NAME, {}) == {}


def test_a_failed_upload_can_be_finished(hub, folder):
    hub.refuse["/commit/"] = 403
    assert said(folder, NAME).endswith(EMPTY)
    hub.refuse.clear()
    push(folder, NAME, update=True)
    assert hub.sets == {NAME: contents(folder)}


@pytest.mark.parametrize(("part", "then"), [("/repos/create", ""), ("/preupload/", EMPTY)])
def test_an_answer_without_sense_is_told(hub, folder, part, then):
    hub.rubbish.add(part)
    assert said(folder, NAME) == (
        f"the hub answers for {NAME} in a way that is not understood: try again later, or upload "
        f"the folder at https://huggingface.co/new-dataset.{then}"
    )


def test_without_a_token_it_is_told_before_anything_is_asked(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert said(folder, NAME) == (
        f"no token to publish {NAME} with: set HF_TOKEN to one that may write "
        "(https://huggingface.co/settings/tokens), or run `hf auth login`."
    )
    assert hub.asked == []


def test_a_hub_out_of_reach_is_told(alone, folder, monkeypatch):
    with socket.socket() as closed:  # a port where nobody listens
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    assert said(folder, NAME, token=TOKEN) == (
        f"the hub cannot be reached to publish {NAME}: check the network and run the same again."
    )


def test_a_hub_that_is_switched_off_is_told(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert said(folder, NAME) == (
        f"{NAME} cannot be published while the hub is switched off (HF_HUB_OFFLINE): unset it, or "
        "publish to a folder only."
    )
    assert hub.asked == []


@pytest.mark.parametrize(
    "name", ["my-set", "a/b/c", "owner/my--set", "owner/", "owner/set.git", "ø/x"]
)
def test_what_is_no_name_is_told(hub, folder, name):
    assert said(folder, name, dry_run=True) == (
        f"{name!r} is no name of a data set on the hub: write owner/name, in letters, digits, '-', "
        "'_' and '.'."
    )


def test_a_folder_that_is_no_published_set_is_told(hub, tmp_path):
    for folder in (tmp_path / "absent", tmp_path):
        assert said(folder, NAME) == (
            f"{folder}: no published set (README.md, LICENSE.md and data/): make it with "
            "`polydrift data publish` first."
        )
    assert hub.asked == []


def test_other_files_are_never_sent(hub, folder):
    (folder / ".env").write_text("KEY=1")
    assert said(folder, NAME) == f"{folder}: '.env' is no part of a published set: move it away."
    assert hub.asked == []


def test_a_file_changed_since_is_told(hub, folder):
    (folder / "data/da/test.parquet").write_bytes((folder / "data/el/test.parquet").read_bytes())
    (folder / "data/el/test.parquet").write_bytes(b"PAR1")
    assert said(folder, NAME) == (
        f"{folder}: data/el/test.parquet is not the file that README.md describes: publish the set "
        "again."
    )
    assert hub.asked == []


def vouched(folder, path, content):
    """Put another file into a published folder, and its digest into the card."""
    (folder / path).write_bytes(content)
    with (folder / "README.md").open("a", encoding="utf-8") as card:
        card.write(described(content)["sha256"])


def test_rows_that_may_not_be_shared_are_refused_whatever_the_card_says(hub, folder):
    path = folder / "data/da/test.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"prompt": ["a", "b"], "licence": ["gated", None]}), sink)
    vouched(folder, "data/da/test.parquet", sink.getvalue().to_pybytes())
    assert said(folder, NAME).startswith(
        f"{path}: 2 rows cannot be published (1 of gated, each user accepts the terms for "
        "themselves; 1 without a stated licence): "
    )
    assert hub.asked == []


@pytest.mark.parametrize("content", [b"", b"PAR1 no more"])
def test_a_file_that_is_no_parquet_is_told(hub, folder, content):
    vouched(folder, "data/da/test.parquet", content)
    assert said(folder, NAME) == (
        f"{folder / 'data/da/test.parquet'}: no Parquet file of rows: publish the set again."
    )


def test_a_file_without_licences_is_told(hub, folder):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"prompt": ["a"]}), sink)
    vouched(folder, "data/da/test.parquet", sink.getvalue().to_pybytes())
    assert said(folder, NAME).endswith(": no Parquet file of rows: publish the set again.")


def test_a_folder_that_cannot_be_read_is_told(hub, folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert said(folder, NAME) == f"{folder}: cannot be read (Permission denied)."


@pytest.mark.parametrize(("status", "sentence"), [(401, TAKES_NO_TOKEN), (403, MAY_NOT)])
def test_a_refusal_of_the_newer_way_to_upload_is_told(hub, folder, monkeypatch, status, sentence):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.refuse["/xet-write-token/"] = status
    assert said(folder, NAME) == sentence + EMPTY
    assert any("/xet-write-token/" in asked for asked in hub.asked)
    assert hub.sets[NAME] == {}
