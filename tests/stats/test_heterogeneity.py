"""Sources of compliance against loops, scipy, statsmodels, a permutation test, and simulations."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import statsmodels.api as sm
from numpy.typing import NDArray

from polydrift.errors import MeasureError
from polydrift.stats.cells import sort_into_cells
from polydrift.stats.contrasts import f_tail
from polydrift.stats.heterogeneity import heterogeneity
from tests.stats.verdict_rows import verdicts

CODES = ("da", "el", "en", "es", "ga", "hi", "pt", "tl", "zh")
TUNING, EVALUATION = "tuning language", "evaluation language"
BOTH, CHANGE = f"{TUNING} x {EVALUATION}", f"change by {EVALUATION}"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[tuple[str, str], dict[str, Any]]


def table(hits: Ints, untuned: Ints | None = None, base: str = "m", **columns: Any) -> pa.Table:
    """Verdicts of [tunings, seeds, languages, prompts], -1 absent; untuned: of the last two."""
    parts = []
    for answers, tuned in ((hits, True), (untuned, False)):
        if answers is None:
            continue
        places = np.indices(answers.shape).reshape(answers.ndim, -1)[:, answers.ravel() >= 0]
        e, p = places[-2:]
        codes, size = np.array(CODES), e.size
        t, s = places[:2] if tuned else (np.zeros(size, int), np.zeros(size, int))
        variants = [f"{base}+{codes[i]}-{j}" for i, j in zip(t, s, strict=True)]
        whole = {
            "base": [base] * size,
            "variant": variants if tuned else [base] * size,
            "arm": pa.array(["x" if tuned else None] * size, pa.string()),
            "tuning_language": pa.array(codes[t] if tuned else [None] * size, pa.string()),
            "tuning_seed": pa.array(s if tuned else [None] * size, pa.int64()),
            "epochs": pa.array([3 if tuned else None] * size, pa.int64()),
            "evaluation_language": codes[e],
            "suite": ["s"] * size,
            "kind": ["unsafe"] * size,
            "category": ["c"] * size,
            "prompt_id": np.char.zfill(p.astype(str), 4),
            "sample": np.zeros(size, np.int64),
            "judge": ["j"] * size,
            "verdict": np.where(answers[answers >= 0] == 1, "complied", "refused"),
            "wrong_language": pa.array([False] * size),
            **{name: [value] * size for name, value in columns.items()},
        }
        parts.append(pa.table(whole))
    return pa.concat_tables(parts)


def rows(answers: pa.Table, *, base: str | None = "m", latent: bool = False) -> Rows:
    """The rows of one base (None: of all), by scale and source."""
    made = heterogeneity(sort_into_cells(answers), level=0.95, latent=latent).to_pylist()
    return {(row["scale"], row["source"]): row for row in made if row["base"] == base}


def study(
    shape: tuple[int, int, int, int],
    rng: np.random.Generator,
    *,
    rate: float = 0.4,
    sds: Mapping[str, float] | None = None,
) -> tuple[Ints, Ints]:
    """Answers of tuned and untuned models that hang together by prompt.

    sds: of the effects of "t", "e", "te", "run" and "rune" on the rate.
    """
    tunings, seeds, languages, prompts = shape
    of = {"t": (tunings, 1, 1), "e": (1, 1, languages), "te": (tunings, 1, languages)}
    of |= {"run": (tunings, seeds, 1), "rune": (tunings, seeds, languages)}
    rates = np.full(shape[:3], rate)
    for name, sd in (sds or {}).items():
        rates = rates + sd * rng.standard_normal(of[name])
    shared = math.sqrt(0.3) * rng.standard_normal(prompts)
    shared = shared + math.sqrt(0.2) * rng.standard_normal((languages, prompts))
    by_tuning = math.sqrt(0.1) * rng.standard_normal((tunings, 1, 1, prompts))
    tuned = shared + by_tuning + math.sqrt(0.4) * rng.standard_normal(shape)
    before = shared + math.sqrt(0.5) * rng.standard_normal(shape[2:])
    cut = scipy.special.ndtri(np.clip(rates, 1e-9, 1 - 1e-9))[..., None]
    untuned = (before < scipy.special.ndtri(rate)).astype(np.int64)
    return (tuned < cut).astype(np.int64), untuned


# --- against loops ----------------------------------------------------------------------------


def by_loops(
    hits: Ints, matrix: Floats, logit: bool, untuned: Ints | None = None
) -> tuple[float, float, float, Floats]:
    """(|x|^2, tr S, tr S S with the correction for few prompts, f2) of one base, cell by cell.

    hits: [tunings, seeds, languages, prompts], -1 absent; a seed may be absent altogether.
    matrix: [rows, tunings * languages].
    """
    tunings, seeds, languages, prompts = hits.shape
    cells = list(itertools.product(range(tunings), range(languages)))

    def value_parts(answers: Ints) -> tuple[float, Floats, float]:
        judged = answers >= 0
        rate = answers[judged].mean()
        parts = np.where(judged, answers - rate, 0) / judged.sum()
        imagined = 0.5 / (judged.sum() + 2) ** 2
        if not logit:
            return rate, parts, imagined
        near = (answers[judged].sum() + 0.5) / (judged.sum() + 1)
        slope = 1 / near / (1 - near)
        return math.log(near / (1 - near)), parts * slope, imagined * slope**2

    runs = {t: [s for s in range(seeds) if (hits[t, s] >= 0).any()] for t in range(tunings)}
    found = {(t, s, e): value_parts(hits[t, s, e]) for t, e in cells for s in runs[t]}
    values, parts, extra = [], [], []
    for t, e in cells:
        of = [found[t, s, e] for s in runs[t]]
        before = value_parts(untuned[e]) if untuned is not None else (0, np.zeros(prompts), 0)
        values.append(np.mean([one[0] for one in of]) - before[0])
        parts.append(np.mean([one[1] for one in of], axis=0) - before[1])
        extra.append(sum(one[2] for one in of) / len(of) ** 2 + before[2])
    small = prompts / (prompts - 1)
    by_prompt = np.diag(extra)
    for i, j in itertools.product(range(len(cells)), repeat=2):
        by_prompt[i, j] += small * sum(parts[i][p] * parts[j][p] for p in range(prompts))
    degrees = sum(len(of) - 1 for of in runs.values())
    of_seeds, both = np.zeros((2, languages, languages))
    for t in range(tunings):
        for s in runs[t] if degrees else []:
            off = [
                found[t, s, e][0] - np.mean([found[t, other, e][0] for other in runs[t]])
                for e in range(languages)
            ]
            apart = [
                found[t, s, e][1] - np.mean([found[t, other, e][1] for other in runs[t]], axis=0)
                for e in range(languages)
            ]
            of_seeds += np.outer(off, off) / degrees
            both += small * np.array([[x @ y for y in apart] for x in apart]) / degrees
    whole = matrix @ by_prompt @ matrix.T
    n = prompts - 1
    square = (whole**2).sum()
    excess = square - n**2 / ((n + 2) * (n - 1)) * (square - np.trace(whole) ** 2 / n)
    wobble = square / n
    between, weight = np.zeros_like(by_prompt), np.zeros((languages, languages))
    for t in range(tunings):
        at = slice(t * languages, (t + 1) * languages)
        between[at, at] = (of_seeds - both) / len(runs[t])
        weight += matrix[:, at].T @ matrix[:, at] / len(runs[t])
    added = matrix @ between @ matrix.T
    if np.trace(added) > 0:
        whole = whole + added
        wobble += np.trace(weight @ of_seeds @ weight @ of_seeds) / degrees
    rank = np.linalg.matrix_rank(matrix)
    square = max((whole**2).sum() - excess, np.trace(whole) ** 2 / rank)
    size = float(((matrix @ np.array(values)) ** 2).sum())
    return size, float(np.trace(whole)), float(square), np.trace(whole) ** 2 / wobble


def matrices(tunings: int, languages: int) -> dict[str, Floats]:
    centre = {n: np.eye(n) - 1 / n for n in (tunings, languages)}
    return {
        TUNING: np.kron(centre[tunings], np.full((1, languages), 1 / languages)),
        EVALUATION: np.kron(np.full((1, tunings), 1 / tunings), centre[languages]),
        BOTH: np.kron(centre[tunings], centre[languages]),
    }


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_sources_against_loops(scale: str, seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    shape = (3, seeds, 4, 30)
    hits, untuned = study(shape, rng, sds={"t": 0.1, "te": 0.1, "run": 0.1, "rune": 0.05})
    hits[rng.random(shape) < 0.05] = -1
    if seeds > 1:
        hits[1, 2] = -1  # one tuning has two seeds only
    found = rows(table(hits, untuned))
    wanted = {**matrices(3, 4), CHANGE: matrices(3, 4)[EVALUATION]}
    for source, matrix in wanted.items():
        given = untuned if source == CHANGE else None
        size, trace, square, f2 = by_loops(hits, matrix, scale == "logit", given)
        row, df = found[scale, source], np.linalg.matrix_rank(matrix)
        assert row["df"] == df
        assert row["q"] == pytest.approx(size / trace * df)
        assert row["sd"] == pytest.approx(math.sqrt(max(size - trace, 0) / df))
        assert row["i2"] == pytest.approx(max(1 - trace / size, 0))
        p = scipy.stats.f.sf(size / trace, trace**2 / square, f2)
        assert row["p"] == pytest.approx(p, rel=1e-6)

        def off(variance: float, wanted: float, of: tuple[float, ...], df: int) -> float:
            size, trace, square, f2 = of
            grown = trace + variance * df
            f1 = grown**2 / (square + 2 * variance * trace + variance**2 * df)
            return scipy.stats.f.sf(size / grown, f1, f2 * (grown / trace) ** 2) - wanted

        for end, wanted_p in (("low", 0.025), ("high", 0.975)):
            of = (size, trace, square, f2)
            there = off(0, wanted_p, of, df) < 0
            solved = scipy.optimize.brentq(off, 0, 1e4, (wanted_p, of, df)) if there else 0.0
            assert row[f"sd_{end}"] == pytest.approx(math.sqrt(solved), rel=1e-4, abs=1e-6)
            assert row[f"i2_{end}"] == pytest.approx(solved / (solved + trace / df), abs=1e-5)


def test_a_base_noise_shared_by_its_variants_is_in_no_difference_between_them() -> None:
    """Tunings and their interaction are the same of rates and of changes, whatever the base did."""
    hits, untuned = study((3, 2, 4, 40), np.random.default_rng(3), sds={"te": 0.1})
    one, other = rows(table(hits, untuned)), rows(table(hits, 1 - untuned))
    for key in one:
        same = str(one[key]) == str(other[key])
        assert same == (key[1] != CHANGE), key


def test_all_bases_are_split_by_base_as_well() -> None:
    rng = np.random.default_rng(6)
    both = [study((2, 2, 3, 50), rng, sds={"t": 0.1, "te": 0.1, "run": 0.05}) for _ in "mn"]
    answers = pa.concat_tables(
        [table(*one, base=name) for one, name in zip(both, "mn", strict=True)]
    )
    found = rows(answers, base=None)
    rates = np.array([hits.mean(axis=(1, 3)) for hits, _ in both])  # [bases, tunings, languages]
    centred = rates - rates.mean(axis=0)
    for axis in (1, 2):
        centred = centred - centred.mean(axis=axis, keepdims=True)
    row = found["probability", f"base x {BOTH}"]
    noise = (row["q"] / row["df"]) ** -1 * (centred**2).sum() / row["df"]
    assert row["df"] == 2
    assert row["sd"] ** 2 == pytest.approx(max((centred**2).sum() / 2 - noise, 0))
    assert {source for scale, source in found if scale == "probability"} >= {
        *("base", f"base x {TUNING}", f"base x {EVALUATION}", f"base x {BOTH}", TUNING, BOTH)
    }
    # a base by itself is not moved by another
    alone = rows(table(*both[0]))
    assert str(rows(answers)) == str(alone)


def test_own_language_is_what_a_model_has_more_where_it_was_tuned() -> None:
    rng = np.random.default_rng(2)
    hits, _ = study((4, 2, 4, 200), rng, rate=0.2)
    for i in range(4):
        hits[i, :, i] |= rng.random((2, 200)) < 0.3
    row = rows(table(hits))["probability", "own language"]
    rates = hits.mean(axis=(1, 3))
    apart = np.eye(4).astype(bool)
    # balanced: the mean of its own cells less the mean of the others, times 4 / 3 - 1 / 3
    t, e = (x.ravel() for x in np.indices((4, 4)))
    design = np.column_stack([t == i for i in range(4)] + [e == i for i in range(1, 4)])
    fit = sm.OLS(rates.ravel(), np.column_stack([design, apart.ravel()]).astype(float)).fit()
    assert row["difference"] == pytest.approx(fit.params[-1])
    assert row["low"] < 0.24 < row["high"]
    assert row["p"] < 1e-6


# --- against others ---------------------------------------------------------------------------


def test_noise_agrees_with_statsmodels_clusters() -> None:
    """One run in five languages: the covariance that OLS has when clustered by prompt."""
    hits, _ = study((1, 1, 5, 60), np.random.default_rng(8), sds={"e": 0.1})
    hits[0, 0, 2, :9] = -1
    row = rows(table(hits))["probability", EVALUATION]
    e, p = np.nonzero(hits[0, 0] >= 0)
    y = hits[0, 0][e, p]
    fit = sm.OLS(y, np.eye(5)[e]).fit(
        cov_type="cluster", cov_kwds={"groups": p, "use_correction": False}
    )
    asked = (hits[0, 0] >= 0).sum(axis=1)
    noise = fit.cov_params() * 60 / 59 + np.diag(0.5 / (asked + 2) ** 2)
    centre = np.eye(5) - 1 / 5
    q = 4 * fit.params @ centre @ fit.params / np.trace(centre @ noise)
    assert row["q"] == pytest.approx(q)


def test_q_is_cochrans_where_languages_have_nothing_in_common() -> None:
    """Each language has prompts of its own: Cochran's Q and I2 of Higgins and Thompson 2002."""
    rng = np.random.default_rng(4)
    hits = np.full((1, 1, 6, 1200), -1)
    for e in range(6):
        hits[0, 0, e, e * 200 : (e + 1) * 200] = rng.random(200) < 0.3 + 0.03 * e
    row = rows(table(hits))["probability", EVALUATION]
    rates = np.array([hits[0, 0, e][hits[0, 0, e] >= 0].mean() for e in range(6)])
    noise = np.mean(rates * (1 - rates) / 200) * 1200 / 1199 + 0.5 / 202**2
    q = ((rates - rates.mean()) ** 2 / noise).sum()
    assert row["q"] == pytest.approx(q)
    assert row["p"] == pytest.approx(scipy.stats.chi2.sf(q, 5), abs=0.01)
    assert row["i2"] == pytest.approx(max(0, 1 - 5 / q))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p_agrees_with_signs_drawn_by_prompt(seed: int) -> None:
    """A multiplier bootstrap of the interaction: every prompt's part keeps or changes its sign."""
    rng = np.random.default_rng(seed)
    hits, _ = study((3, 1, 4, 300), rng, sds={"te": 0.02})
    row = rows(table(hits))["probability", BOTH]
    matrix = matrices(3, 4)[BOTH]
    parts = matrix @ (hits[:, 0] - hits[:, 0].mean(axis=2, keepdims=True)).reshape(12, -1) / 300
    drawn = ((parts @ rng.choice([-1.0, 1.0], (300, 20_000))) ** 2).sum(axis=0)
    size = ((matrix @ hits[:, 0].mean(axis=2).ravel()) ** 2).sum()
    assert row["p"] == pytest.approx(np.mean(drawn >= size), abs=0.02)


def test_the_tail_of_f_is_scipys() -> None:
    for x, f1, f2 in itertools.product(
        (1e-6, 0.3, 1, 2.5, 40), (1, 1.7, 8, 64, 5e4), (1, 3.3, 439, 9e4)
    ):
        assert f_tail(x, f1, f2) == pytest.approx(scipy.stats.f.sf(x, f1, f2), rel=1e-7, abs=1e-12)
    assert f_tail(0, 3, 3) == 1
    assert f_tail(1e300, 3, 3) == pytest.approx(0, abs=1e-12)


def test_variances_within_cells_against_pairs() -> None:
    rng = np.random.default_rng(11)
    hits, _ = study((2, 2, 3, 40), rng)
    hits[rng.random(hits.shape) < 0.1] = -1
    found = rows(table(hits))
    judged = hits >= 0
    rate = np.where(judged, hits, 0).sum(axis=3, keepdims=True) / judged.sum(axis=3, keepdims=True)
    off = np.where(judged, hits - rate, 0)
    cells = list(itertools.product(range(2), range(2), range(3)))
    apart, same = [0.0, 0.0], [0.0, 0.0]
    for one, other in itertools.permutations(cells, 2):
        if one[:2] == other[:2]:
            continue
        into = same if one[2] == other[2] else apart
        into[0] += 40 / 39 * (off[one] @ off[other])
        into[1] += (judged[one] & judged[other]).sum()
    prompt, language = apart[0] / apart[1], same[0] / same[1] - apart[0] / apart[1]
    residual = 40 / 39 * (rate * (1 - rate)).mean() - prompt - language
    names = ("prompt", f"prompt x {EVALUATION}", "residual")
    for name, variance in zip(names, (prompt, language, residual), strict=True):
        assert found["probability", name]["sd"] ** 2 == pytest.approx(max(variance, 0))


def test_shares_are_of_the_whole() -> None:
    hits, untuned = study((3, 2, 4, 80), np.random.default_rng(5), sds={"t": 0.1, "te": 0.1})
    found = rows(table(hits, untuned), latent=True)
    for scale in ("probability", "latent"):
        shares = {
            source: row["share"]
            for (of, source), row in found.items()
            if of == scale and source not in ("own language", CHANGE)
        }
        assert math.fsum(shares.values()) == pytest.approx(1)
        assert set(shares) >= {TUNING, EVALUATION, BOTH, "seed", "prompt", "residual"}
    assert found["latent", "residual"]["sd"] == pytest.approx(math.pi / math.sqrt(3))
    assert all(math.isnan(row["share"]) for (of, _), row in found.items() if of == "logit")


# --- how often it errs ------------------------------------------------------------------------


def repeated(times: int, shape: tuple[int, int, int, int], **how: Any) -> list[Rows]:
    rng = np.random.default_rng(12)
    return [rows(table(*study(shape, rng, **how))) for _ in range(times)]


def test_sources_without_an_effect_are_found_in_five_of_a_hundred() -> None:
    """Prompts, their translations and seeds differ; languages do not."""
    found = repeated(200, (4, 3, 5, 60), sds={"run": 0.04, "rune": 0.03})
    for source in (TUNING, EVALUATION, BOTH, CHANGE, "own language"):
        rejected = np.mean([one["probability", source]["p"] < 0.05 for one in found])
        assert rejected <= 0.085, source  # 0.05 and two and a quarter standard errors


def test_answers_taken_for_independent_would_find_languages_that_are_not_there() -> None:
    """Why prompts are clusters: each has its own difficulty in each language, and 12 models."""
    rng = np.random.default_rng(12)
    rejected = []
    for _ in range(200):
        hits, _ = study((4, 3, 5, 60), rng)
        _, p, _, _ = scipy.stats.chi2_contingency(
            [[(hits[:, :, e] == answer).sum() for answer in (0, 1)] for e in range(5)]
        )
        rejected.append(p < 0.05)
    assert np.mean(rejected) > 0.15


def test_intervals_hold_the_truth_and_variances_are_right_on_average() -> None:
    truth = {TUNING: 0.06, EVALUATION: 0.08, BOTH: 0.05}
    found = repeated(
        150,
        (5, 2, 6, 80),
        sds={"t": 0.06, "e": 0.08, "te": 0.05, "run": 0.02, "rune": 0.02},
    )
    # means over the other languages hold a share of the interaction too
    truth[TUNING] = math.hypot(0.06, 0.05 / math.sqrt(6))
    truth[EVALUATION] = math.hypot(0.08, 0.05 / math.sqrt(5))
    for source, sd in truth.items():
        of = [one["probability", source] for one in found]
        held = np.mean([row["sd_low"] <= sd <= row["sd_high"] for row in of])
        assert 0.90 <= held <= 0.99, source
        mean = np.mean([row["sd"] ** 2 for row in of])
        assert mean == pytest.approx(sd**2, rel=0.15), source
    seeds = np.mean([one["probability", "seed"]["sd"] ** 2 for one in found])
    assert seeds == pytest.approx(2 * 0.02**2, rel=0.3)


# --- what is not there ------------------------------------------------------------------------


def test_equal_inputs_give_equal_tables_whatever_the_order() -> None:
    answers = table(*study((3, 2, 3, 30), np.random.default_rng(1)))
    mixed = answers.take(np.random.default_rng(2).permutation(answers.num_rows))
    one, other = (
        heterogeneity(sort_into_cells(x), level=0.95, latent=True) for x in (answers, mixed)
    )
    assert str(one.to_pylist()) == str(other.to_pylist())
    assert one.num_rows > 20


def test_variants_that_were_not_asked_everywhere_are_left_out() -> None:
    hits, untuned = study((3, 2, 4, 20), np.random.default_rng(1))
    hits[2, 1, 1:] = -1
    row = rows(table(hits, untuned))["probability", BOTH]
    assert (row["tunings"], row["seeds"], row["languages"], row["left_out"]) == (3, 1, 4, 1)
    hits[:, :, 3] = -1
    hits[0, 0, 3] = 0  # a language that one variant alone was asked in
    row = rows(table(hits, untuned))["probability", BOTH]
    assert (row["languages"], row["left_out"]) == (3, 1)


def test_each_asked_in_english_and_its_own_language_is_no_grid() -> None:
    hits, untuned = study((4, 1, 5, 30), np.random.default_rng(1))
    for t, e in itertools.product(range(4), range(5)):
        if e not in (t, 4):
            hits[t, 0, e] = -1
    found = rows(table(hits, untuned))
    assert ("probability", BOTH) not in found
    assert found["probability", TUNING]["languages"] == 1


def test_with_one_seed_nothing_is_said_of_seeds() -> None:
    found = rows(table(*study((3, 1, 3, 30), np.random.default_rng(1))))
    assert math.isnan(found["probability", "seed"]["sd"])
    assert math.isnan(found["probability", "seed"]["share"])
    assert found["probability", TUNING]["seeds"] == 1


def test_a_given_variant_is_a_recipe_of_its_own() -> None:
    cells = {("m", code): "crrrcrrrcr" * 3 for code in ("en", "da", "ga")}
    cells |= {("m+a", "en"): "crrrcrrrcr" * 3, ("m+a", "da"): "cccccccccr" * 3}
    cells |= {("m+a", "ga"): "crrrcrcrcr" * 3}
    answers = verdicts(cells)
    for name in ("tuning_language", "tuning_seed", "epochs"):
        place = answers.column_names.index(name)
        nothing = pa.nulls(answers.num_rows, answers.schema.field(name).type)
        answers = answers.set_column(place, name, nothing)
    found = rows(answers, latent=True)
    assert {source for scale, source in found if scale == "probability"} == {
        *(EVALUATION, CHANGE, "seed", "prompt", f"prompt x {EVALUATION}", "residual")
    }
    row = found["probability", CHANGE]
    assert row["p"] < 0.001
    assert row["arm"] == "a"
    assert row["epochs"] is None


def test_a_base_that_was_not_asked_has_no_change() -> None:
    hits, untuned = study((2, 1, 3, 30), np.random.default_rng(1))
    assert ("probability", CHANGE) in rows(table(hits, untuned))
    assert ("probability", CHANGE) not in rows(table(hits))


@pytest.mark.parametrize("answer", [0, 1])
def test_where_no_answer_differs_there_is_no_source(answer: int) -> None:
    found = rows(table(np.full((3, 2, 3, 30), answer), np.full((3, 30), answer)), latent=True)
    for source in (TUNING, EVALUATION, BOTH, CHANGE):
        row = found["probability", source]
        assert (row["sd"], row["i2"], row["p"]) == (0, 0, 1)
        assert 0 < row["sd_high"] < 0.1 or row["sd_high"] == 0
    assert math.isnan(found["probability", TUNING]["share"])
    assert math.isnan(found["latent", TUNING]["sd"])


def test_nothing_judged_has_no_rows() -> None:
    cells = {("m", "en"): "???", ("m+a", "en"): "???"}
    assert rows(verdicts(cells)) == {}
    assert rows(verdicts({("m", "en"): "crc"})) == {}
    assert rows(verdicts({("m", "en"): "crc", ("m+a", "en"): "ccc"}, kind="safe-lookalike")) == {}


def test_one_prompt_is_no_error() -> None:
    found = rows(verdicts({("m", "en"): "c", ("m+a", "en"): "c", ("m+a", "da"): "r"}))
    assert found["probability", EVALUATION]["prompts"] == 1


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_checked(level: float) -> None:
    with pytest.raises(MeasureError, match="no confidence level"):
        heterogeneity(sort_into_cells(verdicts({("m", "en"): "c"})), level=level)


def test_a_grid_of_nine_by_nine_takes_well_under_a_second() -> None:
    cells = sort_into_cells(table(*study((9, 3, 9, 110), np.random.default_rng(1))))
    start = time.perf_counter()
    heterogeneity(cells, level=0.95)
    assert time.perf_counter() - start < 3  # 0.2 s on an idle core
