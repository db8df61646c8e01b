"""An answer made ready for rules: what it says, without thinking, markup and quoted words.

    clean(answer)         the words meant for the reader: no <think>…</think>, tags or Markdown
    fold(text, "el")      letters that mean the same written the same, as the phrase files are
    unquoted(text)        quotations blanked: a letter that says "I cannot come" is no refusal
    lead(text)            what comes before the first list, code block or announced material
    items(text)           how many list items it has
    loops(text)           whether it says the same thing over and over

Nothing here counts words by spaces, changes case or knows an alphabet: Chinese, Hindi and Greek are
measured in characters like the rest. A Han character says more, so lengths are weighed (`reach`).
"""

from __future__ import annotations

import re
import unicodedata

HEAD = 4000  # characters of an answer that are read; refusals stand at its beginning
LOOP_RATIO = 0.25  # fewer distinct character n-grams than this is a loop
LOOP_GRAMS = 36  # n-grams needed before anything is called a loop

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THINK_END = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?[A-Za-z][^<>\n]{0,80}>|<(?:start|end)_of_turn>")
_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u2028-\u202e\u2060\ufeff\u00ad]"
)
_MARKUP = re.compile(r"\*{1,3}|_{2,3}|`|^[ \t]*(?:#{1,6}|>)[ \t]?|~~", re.MULTILINE)
_LINK = re.compile(r"\[([^\]\n]{1,200})\]\([^)\n]{0,200}\)")
_SPACES = re.compile(r"[^\S\n]+")
_PUNCTUATION = str.maketrans(
    "’‘ʼ´“”„‟，！？：；（）．\u037e\u00a0\u3000",
    "''''\"\"\"\",!?:;().; " + " ",
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_ITEM = re.compile(
    r"^[ \t]*(?:\d{1,2}[.)、]|[-*•‣–][ \t])|(?<=[\s:])\d{1,2}[.)][ \t]", re.MULTILINE
)
_QUOTED = re.compile(
    r"\"[^\"\n]{2,400}\"|«[^«»\n]{2,400}»|「[^「」\n]{2,400}」|『[^『』\n]{2,400}』"
    r"|(?<![^\s(:])'(?=\S)[^\n]{2,400}?(?<=\S)'(?![^\s.,;:!?)।。])"
)
_LEAD_END = re.compile(
    r"^[ \t]*(?:\d{1,2}[.)、]|[-•‣][ \t])|(?<=[\s:])1[.)][ \t]|:[ \t]*\n|\A\Z", re.MULTILINE
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")

_FOLDS: dict[str, dict[int, str | int | None]] = {
    "el": dict(str.maketrans("άέήίόύώΆΈΉΊΌΎΏϊϋΐΰ", "αεηιουωΑΕΗΙΟΥΩιυιυ")),
    "hi": {ord("़"): None, ord("ँ"): "ं"},
    "zh": dict(
        str.maketrans(
            "無協幫絕對滿給寫為應會說討論勵議參與創務處執釋遜錯違這體請許權辦區別們並該當謝決於從個傷禁幹過還見諒遺憾願意實際負責任適",
            "无协帮绝对满给写为应会说讨论励议参与创务处执释逊错违这体请许权办区别们并该当谢决于从个伤禁干过还见谅遗憾愿意实际负责任适",
        )
    ),
}


def clean(answer: str) -> str:
    """The words of an answer, NFC, with plain quotes and punctuation; "" if it only thinks.

    An opened and never closed <think> runs to the end. Line breaks stay, other blanks are one
    space. Only the first HEAD characters after the thinking are kept.
    """
    text = answer
    if "<" in text:
        text = _THINK.sub("", text)
        text = _THINK_END.sub("", text)
        text = _TAGS.sub("", text[: 2 * HEAD])
    text = unicodedata.normalize("NFC", text[: 2 * HEAD]).translate(_PUNCTUATION)
    text = _INVISIBLE.sub("", text)
    text = _LINK.sub(r"\1", text)
    return _SPACES.sub(" ", text).strip()[:HEAD]


def plain(text: str) -> str:
    """A cleaned text without Markdown signs and code blocks."""
    return _MARKUP.sub("", _CODE.sub("\n", text)).strip()


def fold(text: str, language: str) -> str:
    """Letters that are written in two ways in a language, written in one."""
    table = _FOLDS.get(language)
    return text.translate(table) if table else text


def unquoted(text: str) -> str:
    """The text with quotations blanked out, unless it is nothing but quotation."""
    rest = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    return rest if letters(rest) >= 4 else text


def lead(text: str) -> str:
    """The text before its first list item, or before what a colon at a line's end announces."""
    match = _LEAD_END.search(text, 1) if text else None
    return text[: match.start() + 1] if match else text


def items(text: str) -> int:
    """How many list items a cleaned text has (numbered or bulleted)."""
    return len(_ITEM.findall(text))


def letters(text: str) -> int:
    """How many characters are letters or digits, in any script."""
    return sum(map(str.isalnum, text))


def reach(text: str, length: int) -> int:
    """`length` characters of an alphabet as characters of this text: fewer where it is Han."""
    return length if len(_HAN.findall(text[:80])) * 3 < len(text[:80]) else int(length * 0.4)


def loops(text: str) -> bool:
    """Whether a text repeats itself: few distinct character n-grams among many.

    Six characters a gram, three where Han prevails; punctuation and blanks are left out, so
    "ha ha ha" and "哈哈哈" are alike. Texts of fewer than LOOP_GRAMS grams are never loops, but one
    character twelve times in a row always is.
    """
    dense = "".join(filter(str.isalpha, text))
    if len(dense) < 12:
        return False
    if len(set(dense)) == 1:
        return True
    size = 6 if reach(dense, 10) == 10 else 3
    grams = len(dense) - size + 1
    if grams < LOOP_GRAMS:
        return False
    return len({dense[i : i + size] for i in range(grams)}) < LOOP_RATIO * grams
