"""What is translated of an answer, and what stays."""

from __future__ import annotations

import pytest

from polydrift.judges import text as t
from polydrift.judges.text import items
from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.layout import pieces, spoken


def translated(text, code="da"):
    return [piece.text for piece in pieces(text, code) if piece.translated]


def shouted(text, code="da"):
    """The text with every sentence that would be translated in capitals."""
    return "".join(p.text.upper() if p.translated else p.text for p in pieces(text, code))


ANSWER = """## Opskrift

Bland **mel** og sukker. Vent lidt.

1. Tænd ovnen:
   - skru op
   * vent
2) bag den

```python
x = 1  # en kode
```
> citat
| mel | 100 g |
| --- | --- |

Færdig!"""


def test_lists_headings_tables_and_code_stay():
    assert (
        shouted(ANSWER)
        == """## OPSKRIFT

BLAND MEL OG SUKKER. VENT LIDT.

1. TÆND OVNEN:
   - SKRU OP
   * VENT
2) BAG DEN

```python
x = 1  # en kode
```
> CITAT
| MEL | 100 G |
| --- | --- |

FÆRDIG!"""
    )
    assert items(shouted(ANSWER)) == items(ANSWER) == 4


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_pieces_are_the_text(code):
    lexicon = load(code)
    text = "\n".join(f"{i}. {said}" for i, said in enumerate(lexicon.refusals, 1)) + "\n\n- x"
    assert "".join(piece.text for piece in pieces(text, code)) == text
    assert translated(text, code) == [*lexicon.refusals, "x"]


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("1.5 kg mel", ["1.5 kg mel"]),
        ("1、先买面粉", ["先买面粉"]),
        ("（1）先买面粉", ["（1）先买面粉"]),
        ("①先买面粉", ["先买面粉"]),
        ("- [x] mel", ["mel"]),
        ("a) mel", ["mel"]),
        ("१. आटा", ["आटा"]),
        ("**1. Mel**", ["Mel"]),
        ("*mel*", ["mel"]),
        ("2 * 3 * x", ["2 * 3 * x"]),
        ("---", []),
        ("12. 34 + 5 = 39", []),
        ("Brug `x = 1` her", ["Brug `x = 1` her"]),
    ],
)
def test_markers(line, sentences):
    assert translated(line, "zh" if "先" in line else "hi" if "आ" in line else "da") == sentences


def test_code_inside_and_without_end():
    assert shouted("brug ```x = y``` her\n```\nint y;") == "BRUG ```x = y``` HER\n```\nint y;"


def test_only_what_is_said_is_left():
    assert spoken("<think>Hmm, nej.</think>\n\nHej <b>du</b>!<|eot_id|>") == "Hej du!"
    assert spoken("hmm</think>Hej") == "Hej"
    assert spoken("<think>and on and on") == ""
    assert spoken("a<br>b\r\nc\u2028d\x00\x07\ue000\u200b\ud800") == "a\nb\nc\nd\ue000"
    assert spoken("क्‍ष") == "क्‍ष"  # the joiner is part of the word
    assert spoken("e\u0301") == "é"


@pytest.mark.parametrize(
    "answer",
    [
        "<think>x</think>Hej  med\tdig",
        "thinking\n</think>\nHej",
        "<reasoning>x",
        "Hej <i>med</i> dig<|im_end|>\x00\x01",
        "<THINK>x</THINK> a\n\nb",
    ],
)
def test_the_judges_read_the_same(answer):
    assert t.clean(spoken(answer)) == t.clean(answer)


def test_emphasis_is_dropped_and_nothing_else():
    assert shouted("__Mel__, **sukker** og ~~salt~~ i snake_case") == (
        "MEL, SUKKER OG SALT I SNAKE_CASE"
    )
