from __future__ import annotations

import itertools

import pytest

from polydrift.errors import DataError
from polydrift.parallel.licences import (
    LICENCES,
    OTHER,
    combined,
    is_stated,
    known,
    require_shareable,
)


def said(call, *what):
    with pytest.raises(DataError) as caught:
        call(*what)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "id"),
    [
        ("CC-BY-SA-3.0", "cc-by-sa-3.0"),
        (" cc by-sa 4.0 ", "cc-by-sa-4.0"),
        ("CC-BY-2.0-FR", "cc-by-2.0"),
        ("CC_BY_4.0_International", "cc-by-4.0"),
        ("CC0", "cc0-1.0"),
        ("Apache-2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("ODC-By-1.0", "odc-by"),
        ("ODbL-1.0", "odbl"),
        ("GFDL-1.3-or-later", "gfdl"),
        ("GFDL-1.2-only", "gfdl"),
        ("SORRY-Bench-license-agreement", "sorry-bench"),
        ("All rights reserved", "proprietary"),
    ],
)
def test_spellings_of_spdx_and_the_hub_are_known(written, id):
    assert known(written).id == id


def test_every_licence_is_found_by_its_id_and_says_why_if_it_forbids():
    for id, licence in LICENCES.items():
        assert known(id) is licence
        assert known(id.upper()) is licence
        assert bool(licence.why) == (not licence.share)
        assert licence.url.startswith("https://") or id == "proprietary"
        assert not (licence.free and (licence.share_alike or not licence.commercial))


def test_what_creative_commons_letters_mean():
    assert (known("cc-by-4.0").share_alike, known("cc-by-4.0").commercial) == (False, True)
    assert (known("cc-by-sa-3.0").share_alike, known("cc-by-sa-3.0").commercial) == (True, True)
    assert (known("cc-by-nc-4.0").share_alike, known("cc-by-nc-4.0").commercial) == (False, False)
    assert known("cc-by-nc-sa-4.0").share
    assert not known("cc-by-nd-4.0").share
    assert known("cc-by-nc-nd-3.0").why == "forbids changed copies, and so translations"


def test_an_unknown_licence_is_told():
    sentence = said(known, "my-own-1.0")
    assert sentence.startswith("unknown licence 'my-own-1.0': write one of cc0-1.0, cc-by-2.0, ")
    assert sentence.endswith('("gated" for any agreement that forbids passing on).')


@pytest.mark.parametrize("nothing", ["", "  ", "other", "Unknown", "NOASSERTION", "nan"])
def test_what_states_no_licence_is_told(nothing):
    assert not is_stated(nothing)
    assert said(known, nothing) == (
        f"no licence is stated ({nothing.strip() or 'empty'!r}): write the id of one, such as "
        "cc-by-4.0."
    )


@pytest.mark.parametrize(
    ("ids", "chosen", "share_alike", "commercial"),
    [
        (["mit"], ("mit",), False, True),
        (["cc0-1.0", "pddl"], ("cc0-1.0",), False, True),
        (["CC0-1.0", "Apache-2.0"], ("apache-2.0",), False, True),
        (["apache-2.0", "mit", "cc-by-4.0"], ("apache-2.0", "cc-by-4.0", "mit"), False, True),
        (["cc-by-2.0", "cc-by-4.0"], ("cc-by-4.0",), False, True),
        (["apache-2.0", "cc-by-sa-3.0"], ("cc-by-sa-3.0",), True, True),
        (["cc-by-sa-4.0", "cc-by-sa-3.0", "mit"], ("cc-by-sa-4.0",), True, True),
        (["cc-by-nc-4.0", "mit"], ("cc-by-nc-4.0",), False, False),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], ("cc-by-nc-sa-4.0",), True, False),
        (["cc-by-sa-3.0", "cc-by-nc-4.0"], (OTHER,), True, False),
        (["cc-by-sa-3.0", "cc-by-nc-sa-4.0"], (OTHER,), True, False),
        (["cc-by-sa-4.0", "odbl"], (OTHER,), True, True),
    ],
)
def test_the_strictest_speaks_for_the_whole(ids, chosen, share_alike, commercial):
    mix = combined(ids)
    assert (mix.ids, mix.share_alike, mix.commercial) == (chosen, share_alike, commercial)
    assert combined(reversed(ids)) == mix


def test_what_is_said_of_a_mixture():
    assert combined(["mit", "MIT"]).says == ""
    assert combined(["mit", "cc-by-sa-3.0"]).says == (
        "Rows keep their own licences (cc-by-sa-3.0, mit), named in column `licence`; cc-by-sa-3.0 "
        "asks the most, and whoever uses the whole must heed it."
    )
    assert combined(["mit", "apache-2.0"]).says.endswith("whoever uses the whole must heed all.")
    assert combined(["cc-by-nc-4.0", "cc-by-sa-3.0"]).says == (
        "Rows keep their own licences (cc-by-nc-4.0, cc-by-sa-3.0), named in column `licence`; no "
        "one of them fits all rows, so the whole cannot be relicensed."
    )


def test_no_mixture_promises_more_than_its_rows():
    for some in itertools.combinations([one for one in LICENCES.values() if one.share], 3):
        mix = combined(one.id for one in some)
        assert mix.commercial == all(one.commercial for one in some)
        assert mix.share_alike == any(one.share_alike for one in some)
        if mix.ids != (OTHER,):
            assert all(known(id).commercial for id in mix.ids) == mix.commercial
            assert any(known(id).share_alike for id in mix.ids) == mix.share_alike


def test_what_cannot_be_combined_is_told():
    assert said(combined, []) == "no licence to combine: give that of at least one row."
    assert said(combined, ["mit", "sorry-bench"]) == (
        "rows of sorry-bench cannot be shared: its agreement forbids hosting and passing on."
    )
    assert said(combined, ["mit", ""]).startswith("no licence is stated ('empty')")


def test_rows_that_may_not_be_shared_are_counted_in_one_sentence():
    require_shareable({"mit": 3, "CC-BY-SA-3.0": 1}, "set.jsonl")
    counts = {"mit": 3, "": 2, "other": 1, "sorry-bench": 1200, "foo": 1, "CC-BY-ND-4.0": 4}
    assert said(require_shareable, counts, "set.jsonl") == (
        "set.jsonl: 1,208 rows cannot be published (4 of cc-by-nd-4.0, forbids changed copies, and "
        "so translations; 1,200 of sorry-bench, its agreement forbids hosting and passing on; 1 of "
        "unknown licence 'foo'; 3 without a stated licence): leave them out of the file, or, if "
        "you know the licence of rows that state none, say it with --licence."
    )
    assert said(require_shareable, {"gated": 1}, "x").startswith(
        "x: 1 row cannot be published (1 of gated, each user accepts the terms for themselves): "
    )
