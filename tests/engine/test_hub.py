from __future__ import annotations

import pytest
from huggingface_hub import constants

from polydrift.engine.hub import commit_of, fetch
from polydrift.engine.model import Source
from polydrift.engine.models import load
from polydrift.errors import ModelError
from tests.engine.hub_server import COMMIT, hub

PAGE = "https://huggingface.co"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no token."""
    where = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(where))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    return where


@pytest.fixture
def online(cache, directories, tmp_path, monkeypatch):
    """A hub that has one model, with files of other kinds beside it; yields the requests."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for path in directories["qwen3"].iterdir():
        (repository / path.name).write_bytes(path.read_bytes())
    (repository / "pytorch_model.bin").write_bytes(b"pickle")
    (repository / "modeling.py").write_text("raise SystemExit('ran')")
    (repository / "original").mkdir()
    (repository / "original" / "model.safetensors").write_bytes(b"the same in another format")
    with hub({"owner/model": repository}) as (address, asked):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )  # fmt: skip
        yield asked


@pytest.fixture
def offline(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def message(call, *what, **how):
    with pytest.raises(ModelError) as caught:
        call(*what, **how)
    return str(caught.value)


def test_a_model_comes_from_the_hub_without_pickle_and_without_code(online):
    directory = fetch("owner/model", "main")
    assert {path.name for path in directory.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja",
    }  # fmt: skip
    assert directory.name == COMMIT
    assert not any(path.endswith((".bin", ".py")) or "original" in path for path in online)
    assert (fetch("owner/model", "main", code=True) / "modeling.py").is_file()


def test_a_model_of_the_hub_is_loaded_and_used_again_without_a_network(online, monkeypatch):
    model = load(Source("owner/model", device="cpu"))
    assert model.chat.prompt("Hi")
    asked = len(online)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load(Source("owner/model", device="cpu")).vocabulary == model.vocabulary
    assert commit_of("owner/model", None) == COMMIT
    assert len(online) == asked


def test_a_branch_is_pinned_to_its_commit_and_nothing_else_is_downloaded(online):
    assert commit_of("owner/model", "main") == COMMIT
    assert commit_of("owner/model", None) == COMMIT
    assert not any("safetensors" in path or "tokenizer" in path for path in online)


def test_a_directory_is_itself(tmp_path):
    assert fetch(str(tmp_path), None) == tmp_path


def test_a_directory_has_no_revisions(tmp_path):
    assert message(fetch, str(tmp_path), "main") == (
        f"{tmp_path} is a directory and has no revisions; leave `revision = 'main'` out."
    )


@pytest.mark.parametrize("name", ["./no/such/place", "/no/such/place", "a/b/c", "über mich"])
def test_what_is_neither_a_directory_nor_a_name_is_named(offline, name):
    assert message(fetch, name, None) == (
        f"{name}: no such directory, and not a Hugging Face name (owner/name); mend the path."
    )


@pytest.mark.parametrize("name", ["owner/gated", "owner/gated-anonymous"])
@pytest.mark.parametrize("call", [fetch, commit_of])
def test_a_gated_model_says_how_to_get_it(online, name, call):
    assert message(call, name, None) == (
        f"{name} is gated: accept the licence at {PAGE}/{name} and set HF_TOKEN to a token of that "
        f"account ({PAGE}/settings/tokens)."
    )


@pytest.mark.parametrize("name", ["owner/absent", "owner/private", "owner/unheard-of"])
def test_a_model_that_is_not_there_is_named(online, name):
    assert message(fetch, name, None) == (
        f"{name}: no such directory, and no such model at {PAGE}/{name} that you may see; mend the "
        "name, or set HF_TOKEN if it is private."
    )


def test_a_revision_that_is_not_there_is_named(online):
    assert message(fetch, "owner/model", "v9") == (
        f"owner/model has no revision 'v9'; choose a branch, tag or commit of "
        f"{PAGE}/owner/model/commits/main."
    )


def test_a_refusal_without_a_reason_is_told(online):
    assert message(fetch, "owner/forbidden", None) == (
        "the hub refuses access to owner/forbidden (HTTP 403): accept its licence at "
        f"{PAGE}/owner/forbidden, if it has one, and set HF_TOKEN to a token of that account."
    )


def test_a_hub_that_is_down_is_told(online):
    assert message(fetch, "owner/broken", None) == (
        f"the hub answers HTTP 503 for owner/broken: try again later, or download "
        f"{PAGE}/owner/broken and give the directory."
    )


UNREACHABLE = (
    "owner/model is not (wholly) in the local cache, and the hub cannot be reached or is switched "
    f"off (HF_HUB_OFFLINE): go online once, or download {PAGE}/owner/model and give the directory."
)


def test_an_uncached_model_offline_is_told(offline):
    assert message(fetch, "owner/model", None) == UNREACHABLE
    assert message(load, Source("owner/model", device="cpu")) == UNREACHABLE


def test_a_hub_out_of_reach_is_told(cache, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert message(fetch, "owner/model", None) == UNREACHABLE


def test_half_a_model_in_the_cache_is_told(online, monkeypatch):
    commit_of("owner/model", None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert message(fetch, "owner/model", None) == UNREACHABLE


def test_a_cache_that_cannot_be_written_is_told(online, cache):
    cache.write_text("a file where the cache should be")
    found = message(fetch, "owner/model", None)
    assert found.startswith("owner/model cannot be kept in the local cache (")
    assert found.endswith("); make room, or set HF_HOME to a directory that can be written.")
