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
from collections.abc import Sequence

HEAD = 4000  # characters of an answer that are read; refusals stand at its beginning
LOOP_RATIO = 0.25  # fewer distinct character n-grams than this is a loop
LOOP_GRAMS = 36  # n-grams needed before anything is called a loop

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THINK_END = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?[A-Za-z][^<>\n]{0,80}>|<(?:start|end)_of_turn>")
_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000b-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u061c\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"  # lone surrogates too
)
_HEADINGS = re.compile(r"^[ \t]*(?:#{1,6}|>)[ \t]?", re.MULTILINE)  # and quotations
_BULLETS = re.compile(r"^[ \t]*\*[ \t]+", re.MULTILINE)
_LINES = re.compile(r"_{2,3}|~~")  # below and through words
_QUOTES = ('"', "«", "「", "『", " '", "\n'", "('", ":'")  # whatever _QUOTED finds inside a text
_LINK = re.compile(r"\[([^\]\n]{1,200})\]\([^)\n]{0,200}\)")
_ODD_SPACE = re.compile(r"[^\S\n -~]")  # a blank that is not in ASCII
_PLAINER = str.maketrans(
    "’‘ʼ´“”„‟，！？：；（）．\u037e\u00a0\u3000" + "ſıİµ\u0345ϐϑϕϖϰϱϵẛ",
    "''''\"\"\"\",!?:;().;  " + "siIμιβθφπκρεṡ",  # `re` takes them for these, `lower` does not
)
_ODD_SIGN = re.compile(f"[{''.join(map(chr, _PLAINER))}]")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINE_ITEM = re.compile(r"\n[ \t]*(\d{1,2}[.)、]|[-*•‣–][ \t])")
_INNER_ITEM = re.compile(r"[\s:](\d{1,2}[.)])(?=[ \t])")
_QUOTED = re.compile(
    r"\"[^\"\n]{2,400}\"|«[^«»\n]{2,400}»|»[^«»\n]{2,400}«|「[^「」\n]{2,400}」|『[^『』\n]{2,400}』"
    r"|(?<![^\s(:])'(?=\S)[^\n]{2,400}?(?<=\S)'(?![^\s.,;:!?)।。])"
)
_LEAD_ENDS = (  # each with strings of which whatever it finds has one
    (("\n",), re.compile(r"\n([ \t]*(?:\d{1,2}[.)、]|[-•‣][ \t]))")),
    (("1.", "1)"), re.compile(r"[\s:](1[.)][ \t])")),
    ((":\n", ": \n"), re.compile(r"(:) ?\n")),
)
# "Dear X," and "Subject: …"; not "Dear user," nor "Hello,", with which models begin refusals too
_LETTER = re.compile(
    r"(?!\W*\w+ (?:user|customer|friend|bruger|kunde|ven|χρήστη|πελάτη|φίλε|úsáideoir|cara"
    r"|उपयोगकर्ता|मित्र|usuári[oa]|amig[oa]|cliente|usuario|kaibigan|gumagamit))"
    r"(?:(?:(?:dear|to whom|kære|αγαπητ\w+|αξιότιμ\w+|a chara|a \w+ (?:a chara|dhil)"
    r"|प्रिय|आदरणीय|माननीय|सेवा में|prezad[oa]s?|car[oa]s?|querid[oa]s?|exm[oa]s?|estimad[oa]s?"
    r"|(?:mina)?mahal (?:na|kong))(?=[\s,.])|亲爱的|尊敬的|敬爱的)[^\n!?]{0,60}[,:，：!]"
    r"|(?:subject|emne|θέμα|ábhar|विषय|assunto|asunto|paksa|主题|主旨"
    r"|to|til|προς|chuig|para|kay|致)\s*[:：][^\n]{0,100})[ \t]*\n",
    re.IGNORECASE,
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
        text = without_thinking(text)
        text = _TAGS.sub("", text[: 2 * HEAD])
    text = text[: 2 * HEAD]
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = _ODD_SIGN.sub(_plainer, text)
    text = _INVISIBLE.sub("", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "\t" in text or not text.isascii():
        text = _ODD_SPACE.sub(" ", text)
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip()[:HEAD]


def without_thinking(answer: str) -> str:
    """An answer without what a model thought before it, if that was shown; else as it is."""
    return _THINK_END.sub("", _THINK.sub("", answer))


def _plainer(sign: re.Match[str]) -> str:
    return chr(_PLAINER[ord(sign[0])])


def plain(text: str) -> str:
    """A cleaned text without Markdown signs and code blocks; every bullet is a dash."""
    if "```" in text:
        text = _CODE.sub("\n", text)
    if "#" in text or ">" in text:
        text = _HEADINGS.sub("", text)
    if "__" in text or "~~" in text:
        text = _LINES.sub("", text)
    if "*" in text:
        text = _BULLETS.sub("- ", text).replace("*", "")
    return text.replace("`", "").strip()


def fold(text: str, language: str) -> str:
    """Letters that are written in two ways in a language, written in one."""
    table = _FOLDS.get(language)
    return text.translate(table) if table else text


def unquoted(text: str) -> str:
    """The text with quotations blanked out, unless it is nothing but quotation."""
    rest = own(text)
    return rest if letters(rest) >= 4 else text


def own(text: str) -> str:
    """The text with quotations blanked out: what its speaker says in words of his own."""
    if not has(text, _QUOTES) and not text.startswith("'"):
        return text
    return _QUOTED.sub(lambda match: " " * len(match[0]), text)


def lead(text: str) -> str:
    """The text before its first list item, or before what a colon at a line's end announces.

    A letter, which begins with a salutation or a subject on a line of its own, has none.
    """
    if "\n" in text[:80] and _LETTER.match(text):
        return ""
    found = [end.search(text) for signs, end in _LEAD_ENDS if has(text, signs)]
    return text[: min((match.start(1) for match in found if match), default=len(text)) + 1]


def items(text: str) -> int:
    """How many list items a cleaned text has (numbered or bulleted)."""
    found = [*_LINE_ITEM.finditer("\n" + text), *_INNER_ITEM.finditer("\n" + text)]
    return len({match.start(1) for match in found})


def letters(text: str) -> int:
    """How many characters are letters or digits, in any script."""
    return sum(map(str.isalnum, text))


def reach(text: str, length: int) -> int:
    """`length` characters of an alphabet as characters of this text: fewer where it is Han."""
    head = text[:80]
    if head.isascii() or not _HAN.search(head) or len(_HAN.findall(head)) * 3 < len(head):
        return length
    return int(length * 0.4)


def loops(text: str) -> bool:
    """Whether a text repeats itself: few distinct character n-grams among many.

    Six characters a gram, three where Han prevails; punctuation and blanks are left out, so
    "ha ha ha" and "哈哈哈" are alike. Texts of fewer than LOOP_GRAMS grams are never loops, but one
    character twelve times in a row always is.
    """
    if _varied(text):
        return False
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


def _varied(text: str) -> bool:
    """Whether the beginning of a text has distinct n-grams enough for all of it: surely no loop.

    n characters that may be letters make at most n n-grams: LOOP_RATIO · n distinct ones prove it.
    """
    enough = LOOP_RATIO * (len(text) - text.count(" "))
    dense = "".join(filter(str.isalpha, text[: int(1.5 * enough) + 40]))
    if len(dense) < 80:  # what `reach` reads
        return False
    size = 6 if reach(dense, 10) == 10 else 3
    grams = min(len(dense) - size + 1, int(1.1 * enough) + 4)
    return len({dense[i : i + size] for i in range(grams)}) >= enough


def has(text: str, signs: Sequence[str]) -> bool:
    """Whether one of the signs is in a text."""
    for sign in signs:  # noqa: SIM110  (three times as fast as any)
        if sign in text:
            return True
    return False
