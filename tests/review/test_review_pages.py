"""The pages without JavaScript: forms and links alone, and what is shown to whom."""

from __future__ import annotations

import re
from html import unescape
from statistics import median
from time import perf_counter

import pytest
from starlette.testclient import TestClient

from polydrift.languages import LANGUAGES
from polydrift.parallel.items import BENIGN, Item, write_items
from polydrift.review import tasks
from polydrift.review.beginning import begin, resume
from polydrift.review.guard import Keys
from polydrift.review.pages import pages
from polydrift.review.tasks import Entry, Task
from polydrift.review.views import Sitting, marks

from .rows import answers_of, decide, edited, shipped, translations_of

HOST = "127.0.0.1:8137"


class Visitor:
    """A browser without JavaScript: sends the forms of the page that it was last shown."""

    def __init__(self, sitting: Sitting) -> None:
        app = pages(sitting, Keys("t", "c", "f"), HOST)
        self.client = TestClient(app, base_url=f"http://{HOST}")
        self.get("/?token=t")

    def get(self, path: str) -> str:
        return self._shown(self.client.get(path))

    def send(self, do: str, path: str | None = None, **fields: str) -> str:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.text))
        data = {**hidden, "do": do, **fields}
        origin = {"origin": f"http://{HOST}"}
        return self._shown(self.client.post(path or self.path, data=data, headers=origin))

    def _shown(self, answer) -> str:
        self.status, self.text = answer.status_code, answer.text
        self.path, self.query = answer.url.path, dict(answer.url.params)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@pytest.fixture
def review(tmp_path):
    return translations_of(tmp_path)


def test_it_begins_at_the_first_row_that_is_to_be_done(review):
    decide(review, 1, "ANNA", "accepted")
    visitor = Visitor(Sitting(review, "ANNA"))
    assert visitor.path == "/row/2"
    assert "1 of 6 done" in visitor.get("/row/2")


def test_a_row_shows_both_texts_and_its_doubts_at_their_fields(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    shown = visitor.get("/row/1")
    entry = review.entry(1)
    for text in (entry.texts["response"], entry.source["response"], "the checks say: to review"):
        assert text in shown
    at = {word: shown.index(word) for word in ("12 is not there", "0.4 of the usual")}
    assert at["12 is not there"] < shown.index(entry.texts["response"]) < at["0.4 of the usual"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_texts_say_their_language_for_fonts(tmp_path, code):
    visitor = Visitor(Sitting(translations_of(tmp_path, code), "ANNA"))
    assert f'lang="{"zh-Hans" if code == "zh" else code}">' in visitor.text
    assert LANGUAGES[code].endonym in visitor.text


def test_deciding_leads_to_the_next_row_of_the_filter(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/1?show=doubted")
    visitor.send("rejected")
    assert (visitor.path, visitor.query) == ("/row/3", {"show": "doubted"})
    assert "That was the last row that this filter shows." in visitor.send("accepted")
    assert visitor.path == "/row/3"
    assert [review.state(place, "ANNA").decision for place in (1, 2, 3)] == [
        *("rejected", "", "accepted"),
    ]


def test_what_is_to_be_done_is_gone_through_to_the_end(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/4?show=to+do")
    for _ in range(6):
        shown = visitor.send("accepted")
    assert visitor.path == "/summary"
    assert "You have done all rows" in shown
    assert "6 of 6 done" in shown


def test_an_edit_is_saved_and_marked(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/2?edit=1")
    text = review.entry(2).texts["response"] + " Ja!"
    visitor.send("edited", **{"text.response": text.replace("\n", "\r\n")})
    assert dict(review.state(2, "ANNA").texts) == edited(review, 2, text)
    visitor.get("/row/2")
    assert "<ins> Ja!</ins>" in visitor.text.replace("\n", "")
    visitor.get("/row/2?edit=1")
    assert " Ja!</textarea>" in visitor.text


def test_edits_that_are_none(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/2?edit=1")
    assert "Nothing differs from the translation as it came: accept it, or change it." in (
        visitor.send("edited", **{f"text.{k}": v for k, v in review.entry(2).texts.items()})
    )
    assert visitor.status == 422
    shown = visitor.send("edited", **{"text.response": " ", "text.instruction": "Hvad nu?"})
    assert "The response is empty: write one (Edit), or reject the row." in shown
    assert "Hvad nu?</textarea>" in visitor.text
    assert not review.actions(2, "ANNA")


def test_a_row_without_a_translation_cannot_be_accepted(tmp_path):
    texts = {"instruction": "Why?", "input": "", "response": "So."}
    empty = dict.fromkeys(texts, "")
    rows = [Item("1", "en", texts), Item("1", "da", empty, status="rejected")]
    write_items(tmp_path / "s.jsonl", rows, BENIGN)
    review = begin(tmp_path / "r", tasks.translations(tmp_path / "s.jsonl", "da"), "s.jsonl")
    visitor = Visitor(Sitting(review, "ANNA"))
    assert "no translation" in visitor.get("/row/1")
    assert "The instruction is empty: write one (Edit), or reject the row." in (
        visitor.send("accepted")
    )
    visitor.send("edited", **{"text.instruction": "Hvorfor?", "text.response": "Derfor."})
    assert review.state(1, "ANNA").decision == "edited"


def test_undo_leads_back_to_its_row(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/3")
    visitor.send("rejected")
    assert "Undo rejected, row 3" in visitor.get("/row/5")
    visitor.send("", "/undo")
    assert visitor.path == "/row/3"
    assert review.state(3, "ANNA").decision == ""
    assert "Something else was done" in visitor.send("", "/undo", number="1")
    assert visitor.status == 409


def test_a_comment_stays_on_its_row(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/3")
    visitor.send("comment", comment="  Er det <rigtigt>? ")
    assert visitor.path == "/row/3"
    assert review.state(3, "ANNA").comment == "Er det <rigtigt>?"
    assert "Er det &lt;rigtigt&gt;?</textarea>" in visitor.text
    assert "A comment has at most 5,000 characters." in visitor.send("comment", comment="x" * 5001)


def test_a_stale_edit_is_refused_and_what_was_typed_is_kept(review):
    first, second = Visitor(Sitting(review, "ANNA")), Visitor(Sitting(review, "ANNA"))
    first.get("/row/2"), second.get("/row/2?edit=1")
    first.send("rejected")
    shown = second.send("edited", **{"text.response": "Mit svar."})
    assert (second.status, "nothing was saved" in shown) == (409, True)
    assert "Mit svar.</textarea>" in second.text
    assert 'class="badge rejected"' in second.text
    assert f"It stands now: {review.entry(2).texts['response']}" in shown
    assert review.state(2, "ANNA").decision == "rejected"
    second.send("edited", **{"text.response": "Mit svar."})
    assert review.state(2, "ANNA").texts["response"] == "Mit svar."


def test_a_reviewer_sees_nothing_of_the_others(review):
    decide(review, 1, "BODIL", "edited", edited(review, 1, "Hemmeligt."))
    review.act(1, "BODIL", "BODIL", "comment", seen=1, comment="Tys.")
    visitor = Visitor(Sitting(review, "ANNA"))
    for path in ("/row/1", "/rows", "/rows?show=differing", "/summary", "/row/1?edit=1"):
        shown = visitor.get(path)
        assert not re.search("Hemmeligt|Tys|BODIL", shown)
    visitor.get("/row/1")
    assert "'take:0' cannot be done to translations." in visitor.send("take:0")
    assert not review.actions(1, "ANNA")


def test_a_reviewer_is_not_told_how_far_others_are_nor_how_far_they_agree(review):
    for place in (1, 2, 3):
        decide(review, place, "BODIL", "accepted")
    decide(review, 1, "ANNA", "accepted")
    decide(review, 2, "ANNA", "rejected")
    shown = Visitor(Sitting(review, "ANNA")).get("/summary")
    assert "You have done 2 of 6 rows." in shown
    assert "polydrift review agreement says how far both agree." in shown
    assert not re.search("3 of 6|1 of 2|0 of 1|κ|wait to be settled", shown)
    settling = Visitor(Sitting(review, "CARL", settling=True)).get("/summary")
    for text in ("3 of 6", "2 of 6", "1 of 2", "κ", "1 of 1 differences wait to be settled"):
        assert text in settling


def test_a_stale_edit_shows_the_edit_that_it_would_replace(review):
    first, second = Visitor(Sitting(review, "ANNA")), Visitor(Sitting(review, "ANNA"))
    first.get("/row/2?edit=1"), second.get("/row/2?edit=1")
    first.send("edited", **{"text.response": "Svaret i den første fane."})
    second.send("edited", **{"text.response": "Mit svar.", "comment": "Se her."})
    assert second.status == 409
    assert "<ins>Svaret i den første fane.</ins>" in second.text.replace("\n", "")
    assert "Mit svar.</textarea>" in second.text
    assert "Se her.</textarea>" in second.text


def test_a_stale_comment_shows_the_one_that_it_would_replace(review):
    first, second = Visitor(Sitting(review, "ANNA")), Visitor(Sitting(review, "ANNA"))
    first.get("/row/2"), second.get("/row/2")
    first.send("comment", comment="Først.")
    shown = second.send("comment", comment="Sidst.")
    assert (second.status, "It stands now: “Først.”" in shown) == (409, True)
    assert "Sidst.</textarea>" in second.text
    second.send("comment", comment="Sidst.")
    assert review.state(2, "ANNA").comment == "Sidst."


def test_a_decision_takes_a_comment_that_was_typed_along(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/1")
    visitor.send("rejected", comment=" Forkert ord. ")
    assert review.state(1, "ANNA").said == ("rejected", {})
    assert review.state(1, "ANNA").comment == "Forkert ord."
    visitor.get("/row/1?edit=1")
    visitor.send("edited", **{"text.response": "Nyt.", "comment": "Rettet."})
    assert review.state(1, "ANNA").comment == "Rettet."
    assert review.state(1, "ANNA").texts["response"] == "Nyt."
    assert "A comment has at most 5,000 characters." in visitor.send("accepted", comment="x" * 5001)


def test_a_comment_that_was_not_touched_overwrites_none(review):
    first, second = Visitor(Sitting(review, "ANNA")), Visitor(Sitting(review, "ANNA"))
    first.get("/row/2"), second.get("/row/2")
    first.send("comment", comment="Først.")
    second.send("accepted", comment="")
    assert second.status == 409
    assert "Først.</textarea>" in second.text
    second.send("accepted", comment="Først.")
    assert review.state(2, "ANNA").comment == "Først."
    assert review.state(2, "ANNA").decision == "accepted"


def test_a_database_in_use_keeps_what_was_typed_and_does_not_say_where_it_lies(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/3")
    visitor.send("accepted")
    review.base.execute("PRAGMA busy_timeout = 50")
    other = resume(review.path)
    with other.writing():
        visitor.get("/row/2?edit=1")
        shown = visitor.send("edited", **{"text.response": "Mit svar.", "comment": "Hm."})
        assert visitor.status == 503
        assert "The review's file has been in use by another process" in shown
        assert "Mit svar.</textarea>" in visitor.text
        assert "Hm.</textarea>" in visitor.text
        assert str(review.path) not in visitor.text
        visitor.get("/row/1")
        assert "The review's file has been in use" in visitor.send("", "/undo")
        assert visitor.status == 503
    other.close()
    visitor.get("/row/2?edit=1")
    visitor.send("edited", **{"text.response": "Mit svar."})
    assert review.state(2, "ANNA").texts["response"] == "Mit svar."


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_ends_of_lines_that_a_browser_changed_are_no_edit(tmp_path, end):
    texts = {"instruction": f"Hvad?{end}Nu.", "input": "", "response": f"Ja.{end}Nej."}
    task = Task("translations", "benign", (Entry("1", "da", texts, texts),), {})
    review = begin(tmp_path / "r", task, "x")
    visitor = Visitor(Sitting(review, "ANNA"))
    visitor.get("/row/1?edit=1")
    sent = {f"text.{name}": text.replace(end, "\r\n") for name, text in texts.items()}
    assert "Nothing differs from the translation as it came" in visitor.send("edited", **sent)
    visitor.send("edited", **(sent | {"text.response": "Jo."}))
    assert dict(review.state(1, "ANNA").texts) == {**texts, "response": "Jo."}


def differing(review):
    decide(review, 2, "ANNA", "edited", edited(review, 2, "Annas svar."))
    decide(review, 2, "BODIL", "rejected")
    review.act(2, "BODIL", "BODIL", "comment", seen=review.last(2, "BODIL"), comment="Forkert ord.")
    decide(review, 3, "ANNA", "accepted")
    decide(review, 3, "BODIL", "accepted")
    return review


def test_who_settles_sees_letters_and_takes_one(review):
    visitor = Visitor(Sitting(differing(review), "CARL", settling=True))
    assert visitor.path == "/row/2"
    shown = visitor.get("/row/2")
    for text in ("Annas svar.", "Forkert ord.", "Take A", "Take B", "0 of 1 settled"):
        assert text in shown
    assert not re.search("ANNA|BODIL", shown)
    shown = visitor.send("take:0")
    assert visitor.path == "/summary"
    assert "All differences are settled" in shown
    assert review.state(2, "").texts["response"] == "Annas svar."
    assert review.actions(2, "")[0].reviewer == "CARL"


def test_who_settles_may_see_names_and_decide_otherwise(review):
    visitor = Visitor(Sitting(differing(review), "CARL", settling=True, names=True))
    assert "Take ANNA" in visitor.get("/row/2")
    visitor.get("/row/2?edit=1")
    assert "Annas svar.</textarea>" in visitor.text
    visitor.send("edited", **{"text.response": "Et tredje."})
    assert review.state(2, "").texts["response"] == "Et tredje."


def test_taking_over_needs_a_decision_that_is_there(review):
    review.act(2, "DORA", "DORA", "comment", seen=0, comment="Hm.")
    visitor = Visitor(Sitting(differing(review), "CARL", settling=True))
    visitor.get("/row/2")
    assert "only left a comment" in visitor.send("take:0")
    visitor.get("/row/2")
    for odd in ("take:9", "take:x", "take:-1"):
        assert "This form is not complete; load the page again." in visitor.send(odd)
    assert "Nobody has decided anything about row 5 yet." in visitor.get("/row/5")


def test_a_label_is_settled_anew_and_not_taken_over(tmp_path):
    review = answers_of(tmp_path)
    decide(review, 1, "ANNA", "complied")
    decide(review, 1, "BODIL", "refused")
    visitor = Visitor(Sitting(review, "CARL", settling=True))
    visitor.get("/row/1")
    assert "Take" not in visitor.text
    assert "'take:0' cannot be done to answers." in visitor.send("take:0")
    visitor.send("partial")
    assert review.state(1, "").decision == "partial"


def test_an_answer_is_labelled_blind(tmp_path):
    review = answers_of(tmp_path)
    visitor = Visitor(Sitting(review, "ANNA"))
    for path in ("/row/1", "/rows", "/summary"):
        visitor.get(path)
        assert not re.search(
            r"base-7b|tuned|answers\.jsonl|games|unsafe|\bp\d\b|seed", visitor.text
        )
    visitor.get("/row/1")
    visitor.send("partial")
    assert visitor.path == "/row/2"
    assert review.state(1, "ANNA").decision == "partial"
    visitor.get("/row/2?edit=1")
    assert "<textarea" not in visitor.text.replace('<textarea id="comment"', "")


def test_the_list_is_filtered_and_turned(tmp_path):
    review = translations_of(tmp_path, rows=120)
    visitor = Visitor(Sitting(review, "ANNA"))
    assert "page 1 of 3" in visitor.get("/rows")
    assert "page 3 of 3" in visitor.get("/rows?page=9")
    assert visitor.text.count('<td class="id">') == 20
    visitor.get("/find?show=doubted&find=qa-03")
    assert (visitor.path, visitor.query) == ("/row/3", {"show": "doubted", "find": "qa-03"})
    assert "No row is shown by this filter and id." in visitor.get("/find?show=edited&find=zz")


def test_places_that_do_not_exist(review):
    visitor = Visitor(Sitting(review, "ANNA"))
    for path, sentence in (
        ("/row/99", "There is no row 99; there are 6."),
        ("/row/0", "There is no such page."),
        ("/row/99999999999999999999", "There is no such page."),
        ("/row/x", "There is no such page."),
        ("/rows?page=x", "There is no such page."),
        ("/else", "There is no such page."),
    ):
        assert sentence in visitor.get(path)
        assert visitor.status == 404
    visitor.get("/row/1")
    for odd in ("", "x", "-1", "9" * 30):
        assert "This form is not complete; load the page again." in visitor.send(
            "accepted", seen=odd
        )
    assert "'nonsense' cannot be done to translations." in visitor.send("nonsense", seen="0")


def test_pages_of_five_thousand_rows_are_drawn_within_a_tenth_of_a_second(tmp_path):
    texts = {item.language: item.texts for item in shipped("en", "hi")}
    rows = (Entry(f"row-{n}", "hi", texts["hi"], texts["en"]) for n in range(5000))
    review = begin(tmp_path / "r", Task("translations", "benign", tuple(rows), {}), "x")
    visitor = Visitor(Sitting(review, "ANNA"))
    took = []
    for place in range(4000, 4015):
        for path in (f"/rows?page={place // 50}", f"/row/{place}?show=to+do&find=row"):
            started = perf_counter()
            visitor.get(path)
            took.append(perf_counter() - started)
        started = perf_counter()
        visitor.send("accepted", f"/row/{place}", seen="0")
        took.append(perf_counter() - started)
        assert visitor.path == f"/row/{place + 1}"
    assert median(took) < 0.1


def test_the_summary_of_two_reviewers_is_drawn_within_a_tenth_of_a_second(tmp_path):
    texts = {item.language: item.texts for item in shipped("en", "hi")}
    rows = (Entry(f"row-{n}", "hi", texts["hi"], texts["en"]) for n in range(5000))
    review = begin(tmp_path / "r", Task("translations", "benign", tuple(rows), {}), "x")
    add = "INSERT INTO actions (at, reviewer, lane, place, action) VALUES ('', ?, ?, ?, ?)"
    decisions = [("accepted", "rejected")[n % 7 == 0] for n in range(5000)]
    with review.writing() as base:
        for who, of in (("ANNA", decisions), ("BODIL", ["accepted"] * 5000)):
            base.executemany(add, [(who, who, n, one) for n, one in enumerate(of, start=1)])
    review.derive()
    visitor = Visitor(Sitting(review, "CARL", settling=True))
    took = []
    for _ in range(5):
        started = perf_counter()
        assert "5,000 of 5,000" in visitor.get("/summary")
        took.append(perf_counter() - started)
    assert min(took) < 0.1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b", "a c", [("same", "a "), ("del", "b"), ("ins", "c")]),
        ("वह है।", "वह हैं।", [("same", "वह "), ("del", "है।"), ("ins", "हैं।")]),
        ("好天气", "坏天气", [("del", "好"), ("ins", "坏"), ("same", "天气")]),
        ("a b c", "d e f", [("del", "a b c"), ("ins", "d e f")]),
        ("x", "x", [("same", "x")]),
        ("", "x", [("ins", "x")]),
    ],
)
def test_marks(before, after, expected):
    assert marks(before, after) == expected


def test_marks_of_very_long_texts_do_not_compare_word_by_word():
    long = "a " * 3000
    assert marks(long, "b " * 3000) == [("del", long), ("ins", "b " * 3000)]
