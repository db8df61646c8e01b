"""Where the numbers come from: models and their revisions, recipes, decoding, judge, versions.

Read off the study's lock file: what was to be run, and (once it ended) on what it was computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polydrift.records import digest
from polydrift.report.words import NONE, name


@dataclass(frozen=True, slots=True)
class Provenance:
    """models: (name, what, identity). recipes: (name, settings). facts: (what, value)."""

    models: tuple[tuple[str, str, str], ...]
    recipes: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def provenance(lock: Mapping[str, Any]) -> Provenance:
    """What a lock file says about a study's origin."""
    study = lock["study"]
    asked, statistics = study["evaluation"], study["statistics"]
    temperature, translation = asked["temperature"], study["translation"]
    how = "greedy" if temperature == 0 else f"temperature {temperature:g}, top-p {asked['top_p']:g}"
    facts = [
        *(("judge", _judge(judge, lock)) for judge in study["judges"]),
        *([("translation", _settings(translation, ()))] if translation else []),
        (
            "answers",
            f"{how}, {asked['samples']} per prompt, up to {asked['max_new_tokens']} new tokens, "
            f"seed {asked['seed']}",
        ),
        (
            "intervals",
            f"{statistics['level']:.0%}; rates: Wilson; changes: paired bootstrap over prompts, "
            f"{statistics['draws']:,} draws, seed {statistics['seed']}",
        ),
        *(("suite", _data(lock, suite["name"], suite["data"])) for suite in study["suites"]),
        ("polydrift", lock["polydrift"]),
        *_computed(lock.get("computed") or {}),
        ("study digest", digest(study)[:16]),
        ("artifact keys", f"{len(lock['steps']):,}, digest {digest(lock['steps'])[:16]}"),
    ]
    return Provenance(
        models=tuple(_models(lock)),
        recipes=tuple((arm["name"], _settings(arm, without=("name",))) for arm in study["tuning"]),
        facts=tuple(facts),
        notes=tuple(study["notes"]),
    )


def _computed(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Devices, versions and durations, where the run has ended once."""
    environments = found.get("environments", ())
    devices = dict.fromkeys(
        f"{one['device']} ({one['machine']})" for one in environments if one["device"] != "none"
    )
    versions = dict.fromkeys(
        f"{name} {version}"
        for one in environments
        for name, version in one.items()
        if name not in ("device", "machine", "polydrift")
    )
    seconds = found.get("seconds", {})
    times = [f"{kind} {_duration(time)}" for kind, time in seconds.items()]
    facts = [
        ("devices", "; ".join(devices)),
        ("versions", ", ".join(versions)),
        ("time, summed over workers", ", ".join(times)),
    ]
    return [(what, text) for what, text in facts if text]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _models(lock: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    study, identities = lock["study"], lock["sources"]["models"]
    found = []
    for model in (*study["bases"], *study["variants"]):
        what = model.get("adapter") or model.get("model") or "answers given in a file"
        revision = model.get("revision")
        identity = identities.get(f"{what}@{revision}" if revision else what, {})
        shown = ", ".join(f"{key} {value}" for key, value in identity.items() if value) or NONE
        found.append((model["name"], what, shown))
    return found


def _judge(judge: Mapping[str, Any], lock: Mapping[str, Any]) -> str:
    """Who a judge is, in words."""
    if judge["vendors"]:
        who = f"{' and '.join(judge['vendors'])}, by the rubric {judge['rubric']}"
    elif judge["model"]:
        revision = judge["revision"]
        name = f"{judge['model']}@{revision}" if revision else judge["model"]
        identity = lock["sources"]["models"].get(name, {})
        who = ", ".join((judge["model"], *(f"{key} {value}" for key, value in identity.items())))
    else:
        who = f"rules, version {lock['judge_version']}"
    translated = "; answers translated into English first" if judge["translate"] else ""
    named = "" if who.startswith(judge["name"]) else f"{judge['name']}: "
    return f"{named}{who}{translated}"


def _data(lock: Mapping[str, Any], label: str, reference: str) -> str:
    """A data file with its rows and digests."""
    languages = lock["sources"]["data"].get(reference, {})
    rows = sum(found["rows"] for found in languages.values())
    if not languages:
        return f"{label}: {reference}"
    names = ", ".join(name(code) for code in languages)
    return f"{label}: {reference}, {rows:,} rows ({names}), digest {digest(languages)[:16]}"


def _settings(section: Mapping[str, Any], without: tuple[str, ...]) -> str:
    """A section of the study as text: "rank 8, alpha 16"."""
    parts = []
    for key, value in section.items():
        if key in without or value is None:
            continue
        if isinstance(value, float):
            shown = f"{value:g}"
        elif isinstance(value, list | tuple):
            shown = " ".join(str(item) for item in value)
        else:
            shown = str(value)
        parts.append(f"{key.replace('_', ' ')} {shown}")
    return ", ".join(parts)
