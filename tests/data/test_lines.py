from __future__ import annotations

import gzip
import json
import os

import pytest

from polydrift.data import lines
from polydrift.errors import DataError


def said(call, *args, **kwargs) -> str:
    def whole():
        result = call(*args, **kwargs)
        return result if isinstance(result, (str, int)) else list(result)

    with pytest.raises(DataError) as caught:
        whole()
    return str(caught.value)


def test_rows_come_with_their_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": "\xce\xb1"}')
    assert list(lines.read(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:3", {"a": "α"})]


def test_gzip_is_read_as_text(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress('{"a": "帮"}\n'.encode()))
    assert [row for _, row in lines.read(path)] == [{"a": "帮"}]


def test_what_is_written_is_read_and_equal_rows_are_equal_bytes(tmp_path):
    rows = [{"b": "líne\nbreak\u2028", "a": 1}, {"b": "नहीं", "a": 2}]
    for name in ("one", "two"):
        lines.write(tmp_path / name, rows)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert [row for _, row in lines.read(tmp_path / "one")] == rows


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", ": no rows in this file."),
        (b"\n \n", ": no rows in this file."),
        (
            b'{"a": 1}\n{"a": }\n',
            ":2: not JSON (Expecting value at column 7): write one JSON object per line.",
        ),
        (
            b"[1]\n",
            ':1: a JSON array, not an object: write one object per line, {"column": value, ...}.',
        ),
        (b"null\n", ":1: a JSON null, not an object"),
        (
            b'{"a": 1}\n{"a": "\xff"}\n',
            ":2: byte 8 of this line is not UTF-8: save the file as UTF-8.",
        ),
        (b'{"a":' + b"[" * 200_000 + b"\n", ":1: nested too deeply to be a row of data."),
    ],
)
def test_what_is_no_row_is_named(tmp_path, content, sentence):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert said(lines.read, path).startswith(f"{path}{sentence}")


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress(os.urandom(5000).hex().encode() + b"\n" + b'{"a": 1}\n')
    path.write_bytes(whole[: len(whole) // 2])
    assert "gzip data is damaged or cut short after line 0" in said(lines.read, path)
    path.write_bytes(b"no gzip at all")
    assert "copy or compress the file again." in said(lines.read, path)
    path.write_bytes(whole[:40] + b"\x00" * 400 + whole[440:])
    assert "gzip data is damaged or cut short" in said(lines.read, path)


def test_a_file_that_is_not_there(tmp_path):
    assert said(lines.read, tmp_path / "no.jsonl") == f"{tmp_path}/no.jsonl: no such file."
    assert (
        said(lines.read, tmp_path) == f"{tmp_path}: a directory, where a file of rows was expected."
    )
    (tmp_path / "f").write_text("x")
    assert "cannot be opened (Not a directory)." in said(lines.read, tmp_path / "f" / "g")


def test_fields():
    row = json.loads('{"t": "x", "n": 3, "b": true, "e": " ", "null": null, "half": "\\ud800"}')
    assert lines.text(row, "t", "f:1") == "x"
    assert lines.text(row, "e", "f:1", empty=True) == " "
    assert lines.identifier(row, "n", "f:1") == "3"
    assert lines.number(row, "n", "f:1") == 3
    assert said(lines.text, row, "q", "f:1") == (
        "f:1: no column 'q'; this row has t, n, b, e, null, half."
    )
    assert said(lines.text, {}, "q", "f:1") == "f:1: no column 'q'; this row has no columns."
    assert said(lines.text, row, "n", "f:1") == (
        "f:1: 'n' holds a JSON number: it must be a string."
    )
    assert said(lines.identifier, row, "b", "f:1") == (
        "f:1: 'b' holds a JSON boolean: it must be a string."
    )
    assert said(lines.text, row, "null", "f:1").startswith("f:1: 'null' holds a JSON null")
    assert said(lines.text, row, "e", "f:1") == ("f:1: 'e' is empty: fill it or leave the row out.")
    assert said(lines.text, row, "half", "f:1").startswith(
        "f:1: 'half' holds half of a surrogate pair"
    )
    assert said(lines.number, {"n": -1}, "n", "f:1") == (
        "f:1: 'n' must be a whole number, 0 or more."
    )
    assert said(lines.language_code, {"l": "xx"}, "l", "f:1") == (
        "f:1: unknown language 'xx': use one of en, zh, da, el, hi, ga, pt, es, tl."
    )
