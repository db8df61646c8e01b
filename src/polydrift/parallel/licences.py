"""What a licence lets one do with rows: share them, sell them, and under which terms.

    >>> known("CC-BY-SA-3.0").share_alike
    True
    >>> combined(["apache-2.0", "cc-by-sa-3.0", "CC0-1.0"]).ids
    ('cc-by-sa-3.0',)

An id is that of SPDX or of the Hugging Face hub, in any case. Rows keep their licences whatever is
mixed: a published set is a collection, and its column `licence` speaks for each row. What the card
says of the whole is the strictest that any row asks:

    public domain (CC0, PDDL, Unlicense) asks nothing      left out beside any other
    two versions of one licence                            the later
    one share-alike, and others that let rows go under it  the share-alike one
    CC BY-NC beside attribution licences                   CC BY-NC: not for commercial use
    attribution licences only (CC BY, MIT, Apache)         all of them, as a list
    share-alike beside CC BY-NC, or two share-alikes       "other": no one licence fits all rows

Licences that allow no changed copies (ND) count as forbidding, for a translation is a change. This
is a guard against mistakes, not legal advice. Sources: https://spdx.org/licenses, the hub's list
(https://hf.co/docs/hub/repositories-licenses) and Creative Commons' page on compatible licences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from polydrift.errors import DataError

RAW_SORRY_BENCH = frozenset({"question_id", "turns", "prompt_style"})  # columns of its own files
OTHER = "other"  # the hub's id for terms that have none


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence of rows.

    id: the hub's. share: whether changed copies may be passed on at all. share_alike: only under
    the same licence. commercial: for commercial use too. free: asks nothing, no naming of the
    source either. why: for people, why rows may not be shared.
    """

    id: str
    name: str
    url: str
    share: bool = True
    share_alike: bool = False
    commercial: bool = True
    free: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Mix:
    """What a card says of rows of several licences.

    ids: of the hub; more than one where rows are under one or the other; ("other",) where no one
    licence fits. says: a sentence for people, "" if all rows are under one licence.
    """

    ids: tuple[str, ...]
    share_alike: bool
    commercial: bool
    says: str


def _creative_commons() -> list[Licence]:
    found = []
    for kind, versions in (
        ("by", "2.0 2.5 3.0 4.0"),
        ("by-sa", "3.0 4.0"),
        ("by-nc", "2.0 3.0 4.0"),
        ("by-nc-sa", "2.0 3.0 4.0"),
        ("by-nd", "4.0"),
        ("by-nc-nd", "3.0 4.0"),
    ):
        for version in versions.split():
            parts = kind.split("-")
            found.append(
                Licence(
                    f"cc-{kind}-{version}",
                    f"Creative Commons {kind.upper()} {version}",
                    f"https://creativecommons.org/licenses/{kind}/{version}/",
                    share="nd" not in parts,
                    share_alike="sa" in parts,
                    commercial="nc" not in parts,
                    why="forbids changed copies, and so translations" if "nd" in parts else "",
                )
            )
    return found


_SPDX = "https://spdx.org/licenses"
_CDLA = "https://cdla.dev"
_OPEN = "https://opendatacommons.org/licenses"
_HUB = "https://huggingface.co/datasets"

LICENCES: dict[str, Licence] = {
    licence.id: licence
    for licence in (
        Licence(
            "cc0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", free=True
        ),
        *_creative_commons(),
        Licence("apache-2.0", "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        Licence("mit", "MIT", f"{_SPDX}/MIT.html"),
        Licence("bsd-2-clause", "BSD, 2 clauses", f"{_SPDX}/BSD-2-Clause.html"),
        Licence("bsd-3-clause", "BSD, 3 clauses", f"{_SPDX}/BSD-3-Clause.html"),
        Licence("isc", "ISC", f"{_SPDX}/ISC.html"),
        Licence("unlicense", "The Unlicense", "https://unlicense.org", free=True),
        Licence("pddl", "ODC Public Domain Dedication", f"{_OPEN}/pddl/1-0/", free=True),
        Licence("odc-by", "ODC Attribution 1.0", f"{_OPEN}/by/1-0/"),
        Licence("odbl", "ODC Open Database 1.0", f"{_OPEN}/odbl/1-0/", share_alike=True),
        Licence("cdla-permissive-1.0", "CDLA Permissive 1.0", f"{_CDLA}/permissive-1-0/"),
        Licence("cdla-permissive-2.0", "CDLA Permissive 2.0", f"{_CDLA}/permissive-2-0/"),
        Licence("cdla-sharing-1.0", "CDLA Sharing 1.0", f"{_CDLA}/sharing-1-0/", share_alike=True),
        Licence(
            "gfdl", "GNU Free Documentation", "https://www.gnu.org/licenses/fdl", share_alike=True
        ),
        Licence(
            "sorry-bench",
            "SORRY-Bench licence agreement",
            f"{_HUB}/sorry-bench/sorry-bench-202503",
            share=False,
            why="its agreement forbids hosting and passing on",
        ),
        Licence(
            "lmsys-chat-1m",
            "LMSYS-Chat-1M licence agreement",
            f"{_HUB}/lmsys/lmsys-chat-1m",
            share=False,
            why="its agreement forbids hosting and passing on",
        ),
        Licence(
            "gated",
            "terms that were accepted by one person",
            "https://huggingface.co/docs/hub/datasets-gated",
            share=False,
            why="each user accepts the terms for themselves",
        ),
        Licence(
            "proprietary",
            "all rights reserved",
            "",
            share=False,
            why="nobody but the owner may share them",
        ),
    )
}
_ALIASES = {
    **{"apache": "apache-2.0", "apache2": "apache-2.0", "apache-2": "apache-2.0"},
    **{"cc0": "cc0-1.0", "cc-zero": "cc0-1.0", "mit-license": "mit"},
    **{"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"},
    **{"gfdl-1.1": "gfdl", "gfdl-1.2": "gfdl", "gfdl-1.3": "gfdl"},
    **{"sorry-bench-license-agreement": "sorry-bench", "all-rights-reserved": "proprietary"},
}
_UNSTATED = frozenset({"", "other", "unknown", "none", "nan", "n/a", "noassertion", "null"})
_PORTED = re.compile(r"(cc-[a-z-]+-\d\.\d)-(?:[a-z]{2,4}|international|unported)")
_VERSION = re.compile(r"-\d+(?:\.\d+)*")


def known(id: str) -> Licence:
    """The licence of an id; DataError if none is stated or we don't know it."""
    if not is_stated(id):
        raise DataError(
            f"no licence is stated ({id.strip() or 'empty'!r}): write the id of one, such as "
            "cc-by-4.0."
        )
    found = LICENCES.get(_plain(id))
    if found is None:
        raise DataError(
            f'unknown licence {id.strip()[:60]!r}: write one of {", ".join(LICENCES)} ("gated" for '
            "any agreement that forbids passing on)."
        )
    return found


def is_stated(id: str) -> bool:
    """Whether a cell states a licence; "other" and "unknown" do not."""
    return id.strip().lower() not in _UNSTATED


def _plain(id: str) -> str:
    """The hub's spelling of an id: lower case, no port to a country, no "-only"."""
    id = re.sub(r"[\s_]+", "-", id.strip().lower())
    id = id.removesuffix("-only").removesuffix("-or-later").removesuffix("+")
    ported = _PORTED.fullmatch(id)
    id = ported[1] if ported else id
    return _ALIASES.get(id, id)


def require_shareable(counts: Mapping[str, int], where: object) -> None:
    """DataError, in one sentence with counts, unless rows of all these licences may be shared.

    counts: id as it stands in the rows, "" for none, to the number of rows. where: their file.
    """
    refused: dict[str, int] = {}
    for id, count in counts.items():
        reason = _refusal(id)
        if reason:
            refused[reason] = refused.get(reason, 0) + count
    if refused:
        total = sum(refused.values())
        rows = "1 row" if total == 1 else f"{total:,} rows"
        listed = "; ".join(f"{count:,} {reason}" for reason, count in sorted(refused.items()))
        raise DataError(
            f"{where}: {rows} cannot be published ({listed}): leave them out of the file, or, if "
            "you know the licence of rows that state none, say it with --licence."
        )


def stated_in(row: Mapping[str, object], told: str) -> str:
    """The licence of a row of any file: its own column's, that of SORRY-Bench for its raw rows, or
    the one that was told.
    """
    if row.keys() >= RAW_SORRY_BENCH:
        return "sorry-bench"
    own = str(row.get("licence") or row.get("license") or "").strip()
    return own if is_stated(own) else told


def may_be_shared(id: str) -> bool:
    """Whether rows of an id may be passed on; of a licence that is not stated nobody says no."""
    return not is_stated(id) or not _refusal(id)


def _refusal(id: str) -> str:
    """Why rows of an id may not be shared; "" if they may."""
    if not is_stated(id):
        return "without a stated licence"
    try:
        licence = known(id)
    except DataError:
        return f"of unknown licence {id.strip()[:60]!r}"
    return "" if licence.share else f"of {licence.id}, {licence.why}"


def combined(ids: Iterable[str]) -> Mix:
    """What a card says of rows of these licences (see above).

    DataError: no id, one that is not known or stated, one that forbids sharing.
    """
    found = {licence.id: licence for licence in map(known, ids)}
    if not found:
        raise DataError("no licence to combine: give that of at least one row.")
    for licence in found.values():
        if not licence.share:
            raise DataError(f"rows of {licence.id} cannot be shared: {licence.why}.")
    everything = sorted(found)
    asking = [found[id] for id in everything if not found[id].free] or [found[everything[0]]]
    latest = {_VERSION.sub("", licence.id): licence for licence in asking}.values()
    alike = [licence for licence in latest if licence.share_alike]
    unpaid = [licence for licence in latest if not licence.commercial]
    chosen = alike or unpaid or list(latest)
    fits = len(alike) < 2 and (not alike or not unpaid or not alike[0].commercial)
    return Mix(
        tuple(licence.id for licence in chosen) if fits else (OTHER,),
        bool(alike),
        not unpaid,
        _says(everything, [licence.id for licence in chosen], fits),
    )


def _says(everything: list[str], chosen: list[str], fits: bool) -> str:
    if len(everything) == 1:
        return ""
    each = f"Rows keep their own licences ({', '.join(everything)}), named in column `licence`"
    if not fits:
        return f"{each}; no one of them fits all rows, so the whole cannot be relicensed."
    if len(chosen) == 1:
        return f"{each}; {chosen[0]} asks the most, and whoever uses the whole must heed it."
    return f"{each}; whoever uses the whole must heed all."
