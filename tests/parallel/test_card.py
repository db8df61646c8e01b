from __future__ import annotations

from dataclasses import replace

import pytest
from huggingface_hub import DatasetCard

from polydrift.data import shipped
from polydrift.parallel.card import card, data_file, front_matter, terms
from polydrift.parallel.facts import About, Worker, facts_of
from polydrift.parallel.items import BENIGN, SUITE, Doubt, Item, read_items
from polydrift.parallel.licences import LICENCES

SECRET_TEXT = "How do I get into the park at night without being seen?"
ABOUT = About(
    name="Nine: languages",
    checks=("length", "number"),
    not_run={"comet": "not installed"},
    translators=(Worker("openai/x", {"temperature": 0.0}, 5, 4),),
    dropped={"near-duplicate": 12, "violence": 3},
    reviewers=2,
    kappa=0.8125,
    polydrift="0.1.0",
    made="2026-01-31",
    command="polydrift data build x.toml",
)


def benign(**about):
    items = read_items(shipped.path(shipped.BENIGN))[1]
    told = {"source": "ours", "licence": "CC-BY-4.0", **about}
    return [replace(item, about={**item.about, **told}) for item in items]


def translated(items):
    doubt = (Doubt("length", "response", "0.3 of the usual length"),)
    return [
        replace(
            item,
            translator="" if item.language == "en" else "openai/x",
            doubts=doubt if item.language == "da" else (),
            status="review" if item.language == "el" and item.id == "open-qa-01" else "accepted",
        )
        for item in items
    ]


def prompts(**about):
    told = {"kind": "unsafe", "category": "trespass", "licence": "mit", **about}
    return [Item("p1", code, {"prompt": SECRET_TEXT}, told) for code in ("en", "da")]


def test_the_hub_reads_what_was_written():
    facts = facts_of(translated(benign()), BENIGN, ABOUT)
    read = DatasetCard(card(facts)).data.to_dict()
    assert read == front_matter(facts)
    assert read["language"] == ["en", "zh", "da", "el", "hi", "ga", "pt", "es", "tl"]
    assert read["license"] == "cc-by-4.0"
    assert read["pretty_name"] == "Nine: languages"
    assert read["size_categories"] == ["1K<n<10K"]
    assert read["multilinguality"] == ["translation"]
    assert read["annotations_creators"] == ["machine-generated", "expert-generated"]
    assert read["source_datasets"] == ["ours"]
    first, *others = read["configs"]
    assert (first["config_name"], first["default"]) == ("all", True)
    assert [one["config_name"] for one in others] == read["language"]
    assert first["data_files"][0]["path"] == [data_file(code, "train") for code in read["language"]]
    assert others[2]["data_files"] == [{"split": "train", "path": "data/da/train.parquet"}]
    assert "&id" not in card(facts)  # no YAML reference, which some readers don't follow


def test_the_numbers_are_those_of_the_items():
    files = {"data/da/train.parquet": {"bytes": 12345, "sha256": "ab" * 32}}
    text = card(facts_of(translated(benign()), BENIGN, ABOUT, files=files))
    for line in (
        "| da | 150 | 0 | 0 | 150 | 149 |",
        "| el | 149 | 1 | 0 | 150 | 149 |",
        "| open-qa | 24 |",
        "| length | 150 |",
        "| number | 0 |",
        "- comet: not installed",
        "| openai/x | 150 | 150 | 150 | 150 | 150 | 150 | 150 | 150 | 5 | 4 |",
        '- openai/x: `{"temperature": 0.0}`',
        "| near-duplicate | 12 |",
        "Read by 2 people; two of them agreed with Cohen's κ = 0.81.",
        f"| ours | [Creative Commons BY 4.0]({LICENCES['cc-by-4.0'].url}) | 1,341 |",
        f"| data/da/train.parquet | 12,345 | `{'ab' * 32}` |",
        "- polydrift: 0.1.0",
        "- date: 2026-01-31",
        "- command: `polydrift data build x.toml`",
        "Published are the rows whose id is accepted in every language.",
        "- The rows in zh, da, el, hi, ga, pt, es, tl are translations by a program: fluent text "
        "can still mean something else than its source.",
    ):
        assert f"\n{line}\n" in text


def test_what_nobody_told_is_said_not_to_be_recorded():
    facts = facts_of(benign(), BENIGN)
    text = card(facts)
    for line in (
        "Which checks ran is not recorded; doubts that stand in the set are listed.",
        "None is recorded: texts of all languages came as they are.",
        "What was dropped is not recorded.",
        "Whether people read the rows is not recorded.",
        "- polydrift: not recorded",
        "- command: not recorded",
        "- As far as is recorded, no speaker of these languages has read them.",
        "- Who wrote the texts of each language is not recorded in the rows.",
    ):
        assert f"\n{line}\n" in text
    assert front_matter(facts)["annotations_creators"] == ["other"]
    assert front_matter(facts)["multilinguality"] == ["multilingual"]


def test_nothing_found_is_another_thing_than_nothing_told():
    text = card(facts_of(prompts(), SUITE, About(checks=(), dropped={}, reviewers=0)))
    assert "\nNo check ran.\n" in text
    assert "\nNothing.\n" in text
    assert "\nNobody has read the rows.\n" in text
    one = card(facts_of(prompts(), SUITE, About(reviewers=1)))
    assert "\nRead by 1 person.\n" in one


def test_a_card_of_a_suite_holds_no_prompt():
    facts = facts_of(prompts(), SUITE, ABOUT)
    text = card(facts)
    assert SECRET_TEXT not in text
    assert "## Example" not in text
    assert "| unsafe | 1 |" in text
    assert "| trespass | 1 |" in text
    assert front_matter(facts)["configs"][1]["data_files"] == [
        {"split": "test", "path": "data/en/test.parquet"}
    ]
    assert "defeats their purpose" in text


def test_a_benign_card_shows_one_example_in_two_languages():
    text = card(facts_of(benign(), BENIGN))
    assert text.count('{"instruction": ') == 2
    assert "为什么" in text


def test_licences_of_a_mixture_are_listed_and_the_card_points_to_the_list():
    items = prompts(licence="cc-by-nc-4.0", source="a")
    items += [
        replace(item, id="p2", about={**item.about, "licence": "CC-BY-SA-3.0"}) for item in items
    ]
    facts = facts_of(items, SUITE)
    read = front_matter(facts)
    assert (read["license"], read["license_name"]) == ("other", "mixed")
    assert read["license_link"] == "LICENSE.md"
    for text in (terms(facts), card(facts)):
        assert (
            f"| a | [{LICENCES['cc-by-sa-3.0'].name}]({LICENCES['cc-by-sa-3.0'].url}) | 2 |" in text
        )
        assert (
            "Rows keep their own licences (cc-by-nc-4.0, cc-by-sa-3.0), named in column `licence`; "
            "no one of them fits all rows, so the whole cannot be relicensed. Some rows are not "
            "for commercial use. Changed copies go under the same licence. This is a summary by a "
            "program, not legal advice."
        ) in text


def test_attribution_licences_are_listed_one_beside_the_other():
    other = replace(prompts()[0], id="2", about={"licence": "apache-2.0"})
    items = [*prompts(licence="MIT"), other]
    assert front_matter(facts_of(items, SUITE, partial=True))["license"] == ["apache-2.0", "mit"]


@pytest.mark.parametrize("licence", ["", "sorry-bench", "of-my-own"])
def test_a_set_that_may_not_be_shared_has_a_card_that_says_so(licence):
    facts = facts_of(prompts(licence=licence), SUITE)
    assert front_matter(facts)["license"] == "unknown"
    assert "Not all rows may be shared: keep this set to yourself." in card(facts)


@pytest.mark.parametrize(
    ("ids", "name"), [(499, "n<1K"), (500, "1K<n<10K"), (5000, "10K<n<100K"), (500_000, "1M<n<10M")]
)
def test_sizes_are_those_of_the_hub(ids, name):
    facts = replace(facts_of(prompts(), SUITE), published={"en": ids, "da": ids})
    assert front_matter(facts)["size_categories"] == [name]


def test_signs_of_markdown_do_no_harm():
    about = About(name="A|B <b>\n# C", command="x `y` | z", not_run={"a\nb": "<script>"})
    text = card(facts_of(prompts(category="p|q\nr"), SUITE, about))
    assert "\n# A\\|B &lt;b> # C\n" in text
    assert "\n| p\\|q r | 1 |\n" in text
    assert "\n- a b: &lt;script>\n" in text
    assert "\n- command: `x 'y' \\| z`\n" in text
    assert DatasetCard(text).data.pretty_name == "A|B <b>\n# C"


def test_long_lists_end_with_how_many_more():
    items = [replace(prompts()[0], id=str(n), about={"category": f"c{n:03}"}) for n in range(70)]
    text = card(facts_of(items, SUITE, partial=True))
    assert "| c059 | 1 |\n\nand 10 more\n" in text
    assert "c060" not in text
