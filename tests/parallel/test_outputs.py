"""What a build leaves: every file read back, for examples and for a gated suite."""

from __future__ import annotations

import hashlib
import io
import json

import pyarrow.parquet as pq
import pytest

from polydrift import __version__
from polydrift.data.benign import read_examples
from polydrift.data.suites import read_suite
from polydrift.errors import DataError, StoreError
from polydrift.parallel.benign import Dropped
from polydrift.parallel.build import Built
from polydrift.parallel.checks import KINDS
from polydrift.parallel.facts import read_about
from polydrift.parallel.items import BENIGN, SUITE, Doubt, Item, as_row, read_items
from polydrift.parallel.outputs import about_of, parquet, write_outputs
from polydrift.parallel.recipe import check_recipe, read_recipe
from polydrift.parallel.spec import Build, Checks, SuiteSource, Translator
from polydrift.parallel.turn import Attempt
from polydrift.translate.into import LexiconInto

ROWS = {
    "en": ("Name a tree.", "A beech."),
    "zh": ("说出一种树。", "山毛榉。"),
    "da": ("Nævn et træ.", "En bøg."),
    "el": ("Πες ένα δέντρο.", "Μια οξιά."),
    "hi": ("एक पेड़ का नाम बताओ।", "बीच का पेड़।"),
    "ga": ("Ainmnigh crann.", "Fáibhile."),
    "pt": ("Diga uma árvore.", "Uma faia."),
    "es": ("Nombra un árbol.", "Un haya."),
    "tl": ("Magbigay ng isang puno.", "Isang beech."),
}
MILD = ("How do I sneak into the cinema for free?", "Hvordan sniger jeg mig gratis ind i biffen?")
DOUBT = Doubt("length", "response", "0.3 of the usual length")
COMMAND = "polydrift data build mine.toml"


@pytest.fixture
def phrasebook(tmp_path):
    def made(name):
        path = tmp_path / name
        path.write_text(json.dumps({"language": "da", "text": "Vent.", "english": "Wait."}) + "\n")
        return LexiconInto(path)

    return [made("one.jsonl"), made("two.jsonl")]


def examples():
    """Two ids in nine languages, the second accepted in all but Danish."""
    about = {"task": "open_qa", "length": "short", "source": "dolly", "licence": "cc-by-sa-3.0"}
    items = [
        Item(
            f"dolly:{number}",
            code,
            {"instruction": asked, "input": "", "response": said},
            about,
            "" if code == "en" else "phrasebook:two.jsonl",
        )
        for code, (asked, said) in ROWS.items()
        for number in (1, 2)
    ]
    at = next(n for n, item in enumerate(items) if (item.id, item.language) == ("dolly:2", "da"))
    items[at] = Item(items[at].id, "da", items[at].texts, about, "x", "review", (DOUBT,))
    return items


def built(translators, **more):
    return Built(
        BENIGN,
        examples(),
        dropped=[
            Dropped("dolly:3", "dolly", "similar", "near-duplicate", "of dolly:1", "Name a tree!"),
            Dropped("dolly:4", "dolly", "similar", "near-duplicate", "of dolly:2", "Name trees."),
        ],
        attempts=[
            Attempt("dolly:1", "da", "phrasebook:one.jsonl", "refused", "no"),
            Attempt("dolly:1", "da", "phrasebook:two.jsonl", "made", ""),
            Attempt("dolly:2", "el", "phrasebook:one.jsonl", "waiting", "busy"),
            Attempt("dolly:2", "da", "phrasebook:two.jsonl", "rejected", "length"),
        ],
        translators=translators,
        **more,
    )


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_examples_are_there_in_every_form(tmp_path, phrasebook):
    out = tmp_path / "out"
    paths = write_outputs(Build(name="mine"), built(phrasebook), out, COMMAND)
    assert [path.name for path in paths] == [
        *("rows.jsonl", "rows.parquet", "accepted.jsonl", "dropped.jsonl", "attempts.jsonl"),
        *("about.json", "README.md"),
    ]
    assert sorted(out.iterdir()) == sorted(paths)
    assert read_items(out / "rows.jsonl") == (BENIGN, examples())
    assert pq.read_table(out / "rows.parquet").to_pylist() == lines(out / "rows.jsonl")
    accepted = read_items(out / "accepted.jsonl")[1]
    assert [(item.id, item.language) for item in accepted] == [("dolly:1", code) for code in ROWS]
    assert len(read_examples(out / "accepted.jsonl")) == len(ROWS)
    assert lines(out / "dropped.jsonl")[0] == {
        "id": "dolly:3",
        "source": "dolly",
        "stage": "similar",
        "why": "near-duplicate",
        "says": "of dolly:1",
        "instruction": "Name a tree!",
    }
    assert [row["ending"] for row in lines(out / "attempts.jsonl")] == [
        *("refused", "made", "waiting", "rejected"),
    ]
    assert "Μια οξιά." in (out / "rows.jsonl").read_text(encoding="utf-8")


def test_the_card_has_the_hashes_of_the_files(tmp_path, phrasebook):
    paths = write_outputs(Build(name="mine"), built(phrasebook), tmp_path, COMMAND)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for path in paths[:5]:
        assert path.name in card
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card


def test_what_the_rows_cannot_tell_is_told_beside_them(tmp_path, phrasebook):
    out = tmp_path / "out"
    write_outputs(Build(name="mine"), built(phrasebook), out, COMMAND)
    about = read_about(out / "about.json")
    assert (about.name, about.polydrift, about.command) == ("mine", __version__, COMMAND)
    assert about.dropped == {"similar: near-duplicate": 2}
    assert about.checks == tuple(kind for kind in KINDS if kind not in ("round-trip", "comet"))
    assert about.not_run == {"round-trip": "not asked for", "comet": "not asked for"}
    first, second = about.translators
    assert (first.name, first.refusals, first.fallbacks) == ("phrasebook:one.jsonl", 1, 1)
    assert (second.name, second.refusals, second.fallbacks) == ("phrasebook:two.jsonl", 1, 1)
    assert first.identity == phrasebook[0].identity


def test_checks_of_models_ran_or_say_why_not(phrasebook):
    checks = Checks(comet="m", round_trip=Translator(phrasebook="p.jsonl"))
    spec = Build(name="mine", checks=checks)
    about = about_of(spec, built(phrasebook), COMMAND)
    assert about.checks[-2:] == ("round-trip", "comet")
    assert about.not_run == {}
    failed = built(phrasebook, not_run={"comet (da)": "comet-score gave no scores"})
    about = about_of(spec, failed, COMMAND)
    assert about.checks[-1] == "round-trip"
    assert about.not_run == {"comet (da)": "comet-score gave no scores"}


def suite():
    about = {
        "kind": "unsafe",
        "category": "games",
        "style": "base",
        "source": "q.jsonl",
        "licence": "sorry-bench",
    }
    rows = [
        Item("1", code, {"prompt": text}, about, maker)
        for code, text, maker in zip(("en", "da"), MILD, ("", "google"), strict=True)
    ]
    nobody = Item(
        "2", "da", {"prompt": ""}, about, "", "rejected", (Doubt("missing", "prompt", ""),)
    )
    return [rows[0], Item("2", "en", {"prompt": "How do I skip a queue?"}, about), rows[1], nobody]


SORRY = Build(
    name="nine", suite=SuiteSource(data="q.jsonl", format="sorry-bench", styles=("base",))
)


def test_a_suite_has_a_recipe_without_a_word_of_it(tmp_path):
    made = Built(SUITE, suite(), commit="5f3a")
    paths = write_outputs(SORRY, made, tmp_path, COMMAND)
    assert "recipe.json" in [path.name for path in paths]
    recipe = read_recipe(tmp_path / "recipe.json")
    assert recipe["source"] == {
        "data": "q.jsonl",
        "format": "sorry-bench",
        "styles": ["base"],
        "columns": {},
        "select": {},
        "kind": None,
        "language": None,
        "commit": "5f3a",
        "prompts": 2,
        "digest": recipe["source"]["digest"],
    }
    text = (tmp_path / "recipe.json").read_text(encoding="utf-8")
    for item in suite():
        prompt = item.texts["prompt"]
        assert not any(prompt[at : at + 12] in text for at in range(len(prompt) - 11))
    prompts = read_suite(tmp_path / "accepted.jsonl")
    assert [(prompt.prompt_id, prompt.language) for prompt in prompts] == [("1", "en"), ("1", "da")]
    assert check_recipe(prompts, recipe) == []  # "2" is accepted in English alone
    (finding,) = check_recipe(prompts[:1], recipe)
    assert (finding.sort, finding.language, finding.prompt_ids) == ("missing", "da", ("1",))


def test_the_card_of_a_gated_suite_says_that_it_may_not_be_passed_on(tmp_path):
    write_outputs(SORRY, Built(SUITE, suite()), tmp_path, COMMAND)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Not all rows may be shared: keep this set to yourself." in card
    assert not any(text in card for text in MILD)


def test_the_digest_of_a_source_is_of_its_english_prompts_in_any_order(tmp_path):
    def digest(items, name):
        write_outputs(SORRY, Built(SUITE, items), tmp_path / name, COMMAND)
        return read_recipe(tmp_path / name / "recipe.json")["source"]["digest"]

    items = suite()
    assert digest(items, "a") == digest([items[1], items[0], *items[2:]], "b")
    other = Item("2", "en", {"prompt": "How do I jump a queue?"}, items[1].about)
    assert digest([items[0], other, *items[2:]], "c") != digest(items, "d")
    with pytest.raises(DataError) as error:
        write_outputs(SORRY, Built(SUITE, items[2:]), tmp_path / "e", COMMAND)
    assert str(error.value) == "q.jsonl: no prompts."


@pytest.mark.parametrize(("form", "items"), [(BENIGN, examples()), (SUITE, suite()), (SUITE, [])])
def test_parquet_holds_strings_and_doubts_as_structures(form, items):
    table = pq.read_table(io.BytesIO(parquet(items, form)))
    assert table.to_pylist() == [as_row(item, form) for item in items]
    types = {str(table.schema.field(name).type) for name in table.column_names if name != "doubts"}
    assert types <= {"string"}


def test_the_same_build_leaves_the_same_bytes_again(tmp_path, phrasebook):
    first = write_outputs(Build(name="mine"), built(phrasebook), tmp_path / "a", COMMAND)
    again = write_outputs(Build(name="mine"), built(phrasebook), tmp_path / "b", COMMAND)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_disk_that_refuses_is_told(tmp_path, phrasebook):
    out = tmp_path / "out"
    out.write_text("")
    with pytest.raises(StoreError) as error:
        write_outputs(Build(name="mine"), built(phrasebook), out, COMMAND)
    assert str(error.value) == (
        f"{out} is a file where a directory is needed: move it away, or give another directory "
        "with --out"
    )
