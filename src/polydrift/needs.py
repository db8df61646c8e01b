"""What a study needs and lacks: files, languages, rows; asked before anything is spent."""

from __future__ import annotations

from polydrift.data.hub_data import PREFIX
from polydrift.languages import in_order, language
from polydrift.references import answers_reference, corpus_reference, suite_reference
from polydrift.sources import Sources
from polydrift.study import Study


def lacking(study: Study, sources: Sources) -> list[str]:
    """One sentence for each file, and each language of a file, that the study needs and lacks."""
    evaluated = set(study.evaluation.languages)
    wanted: dict[str, set[str]] = {suite_reference(suite): set(evaluated) for suite in study.suites}
    if study.measures and study.measures.heldout:
        wanted.setdefault(study.measures.heldout, set()).update(evaluated)
    if study.measures and study.measures.corpus:
        wanted.setdefault(corpus_reference(study.measures.corpus), set()).update(evaluated)
    for arm in study.tuning:
        wanted.setdefault(arm.data, set()).update(arm.languages)
    problems = _too_few(study, sources)
    for reference, source in sources.data.items():
        if source.languages is None and source.path.startswith(PREFIX):
            problems.append(
                f"{source.path}: is fetched from the hub when the study runs; for a gated one, "
                "accept its licence on its page and set HF_TOKEN to your token."
            )
        elif source.languages is None:
            problems.append(
                f"{source.path}: there is no such file (the study's {source.reference!r}); make "
                "it, or mend the reference."
            )
        elif codes := in_order(wanted.get(reference, set()) - set(source.languages)):
            names = ", ".join(language(code).name for code in codes)
            problems.append(
                f"{source.path}: no rows in {names}; add them, or take "
                f"{', '.join(map(repr, codes))} out of the study's languages."
            )
    return problems + _preferences(study, sources)


def _preferences(study: Study, sources: Sources) -> list[str]:
    """Instructions in no language that is evaluated; references without an answer to them."""
    problems = []
    for one in study.preference:
        asked = sources.data[suite_reference(one.instructions)]
        if asked.languages is None:
            continue  # said already
        codes = set(asked.languages) & set(study.evaluation.languages)
        if not codes:
            problems.append(
                f"{asked.path}: its instructions are in {', '.join(in_order(asked.languages))}, "
                "none of which is among the study's evaluation languages; add one there."
            )
        if one.reference:
            given = sources.data[answers_reference(one.reference)]
            lacks = codes - set(given.languages or codes)
            if lacks:
                problems.append(
                    f"{given.path}: no answers in {', '.join(in_order(lacks))} to the instructions "
                    f"of {one.name!r}; add them, or take the language out of the study's."
                )
    return problems


def _too_few(study: Study, sources: Sources) -> list[str]:
    """Languages with fewer rows than an arm wants; answers in no language that is evaluated."""
    problems = []
    for arm in study.tuning:
        source = sources.data[arm.data]
        for code, rows in (source.languages or {}).items():
            if arm.rows and code in arm.languages and rows.rows < arm.rows:
                problems.append(
                    f"{source.path}: {rows.rows} rows in {language(code).name}, and arm "
                    f"{arm.name!r} wants {arm.rows}; lower `rows`, or add some."
                )
    answers = [base.answers for base in study.bases]
    answers += [given.answers for given in study.variants]
    for one in answers:
        found = sources.data[answers_reference(one)] if one else None
        codes = set(found.languages or {}) if found else set()
        if found and codes and not codes & set(study.evaluation.languages):
            problems.append(
                f"{found.path}: its answers are in {', '.join(in_order(codes))}, none of which is "
                "among the study's evaluation languages; add one there."
            )
    return problems
