"""Preference: how often a judge prefers a model's answers to those of a reference.

    >>> y = outcomes([1.0, 1.9, 1.5, 2.0])        # AlpacaEval's preferences, 1 to 2
    >>> found = win_rate(y)
    >>> found.win_rate, found.wins, found.losses, found.ties
    (60.0, 2, 1, 1)

y is the probability that the model's answer is preferred to the reference's: 1 it is, 0 the
reference's is, 0.5 a tie, NaN not judged. The *win rate* is its mean, in percent (Dubois et al.
2023, AlpacaFarm, arXiv 2305.14387; AlpacaEval: y = preference - 1).

**Position.** Judges lean towards the answer that they are shown first, or last. Ask each pair in
both orders and take the mean (`swapped`): the leaning cancels, and is reported.

**Length.** Judges lean towards long answers too. The *length-controlled* win rate (Dubois et al.
2024, arXiv 2404.04475) fits, over the instructions x,

    logit y_x = theta + phi tanh(d_x / sd(d)) + psi gamma_x                          (equation 1)

where d_x is the length of the model's answer less that of the reference's, and gamma_x how much
instruction x favours models over the reference. It is the mean of sigmoid(theta + psi gamma_x) in
percent (equation 2): the win rate that answers as long as the reference's would have had. gamma is
given by the caller: published, or fitted to many models' answers to the same instructions
(`instruction_difficulty`), or none. theta, phi and psi have the weak penalty that AlpacaEval's code
gives such a regression where it does not choose one (C = 100), so that all-lost and all-won have a
length-controlled rate too. What that code does besides and this does not is in docs/preference.md.

**Intervals.** Instructions are what is sampled: they are resampled whole, with their samples, and
along with them two imagined ones, one won and one lost, at no difference of length. The plain
bootstrap has no width where every answer lost (Agresti and Coull 1998, The American Statistician
52:119, mend shares so). The rates themselves are left alone. NaN where nothing was judged.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polydrift.errors import MeasureError
from polydrift.measures.irt import fit_logistic, sigmoid
from polydrift.seeds import named_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PENALTY = 0.01  # 1 / C, on theta, phi and psi


@dataclass(frozen=True)
class Swapped:
    """Pairs that were judged in both orders.

    y: [pairs] the mean of both orders; NaN where either was not judged. position_bias: how much
    more often than half the answer shown first is preferred, -0.5 to 0.5, over the pairs that were
    asked and judged in both orders. consistent: the share of those in which both orders say the
    same (as to who is preferred). asked, judged: pairs.
    """

    y: Floats
    position_bias: float
    consistent: float
    asked: int
    judged: int


@dataclass(frozen=True)
class WinRate:
    """win_rate, low, high, standard_error, discrete: percent.

    standard_error: of the mean, clustered by instruction. discrete: each y rounded to won, lost or
    tied. wins, losses, ties: y above, below and at 0.5. n: judged; unjudged: y is NaN.
    """

    win_rate: float
    low: float
    high: float
    standard_error: float
    discrete: float
    wins: int
    losses: int
    ties: int
    n: int
    unjudged: int


@dataclass(frozen=True)
class LengthControlled:
    """win_rate, low, high: percent, at no difference of length. n: judged.

    strength, length, difficulty: theta, phi and psi of equation 1; psi is NaN where no gamma was
    given.
    """

    win_rate: float
    low: float
    high: float
    strength: float
    length: float
    difficulty: float
    n: int


def outcomes(preferences: ArrayLike) -> Floats:
    """y from AlpacaEval's preferences: 1 the reference's answer, 2 the model's, 1.5 a tie (0 in old
    files), NaN not judged; any shape. MeasureError for other numbers.
    """
    found = np.asarray(preferences, float)
    found = np.where(found == 0, 1.5, found)
    bad = found[(found < 1) | (found > 2)]
    if len(bad):
        raise MeasureError(
            f"{bad[0]:g} is no preference; AlpacaEval's lie between 1 (the reference's answer) and "
            "2 (the model's)."
        )
    return found - 1


def swapped(first: ArrayLike, second: ArrayLike, *, asked: ArrayLike | None = None) -> Swapped:
    """Both orders of each pair put together.

    first, second: [pairs] y where the model's answer was shown first, and where it was shown
    second. asked: [pairs] whether a judge was asked at all (two equal answers tie unasked, and say
    nothing of the judge); None: all were.
    """
    ours_first, ours_second = _checked(first, "first"), _checked(second, "second")
    _same_length("first", ours_first, "second", ours_second)
    shown = np.ones(len(ours_first), bool) if asked is None else np.asarray(asked, bool)
    _same_length("first", ours_first, "asked", shown)
    y = (ours_first + ours_second) / 2
    both = shown & ~np.isnan(y)
    a, b = ours_first[both], ours_second[both]
    judged = int(both.sum())
    return Swapped(
        y=y,
        position_bias=float((a - b).mean() / 2) if judged else np.nan,
        consistent=float((np.sign(a - 0.5) == np.sign(b - 0.5)).mean()) if judged else np.nan,
        asked=int(shown.sum()),
        judged=judged,
    )


def win_rate(
    y: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> WinRate:
    """The win rate and its interval.

    y: [n]. clusters: [n] the instruction of each, None if all are different. level: of the
    interval; draws, seed: of the bootstrap. The interval of fewer than two instructions is NaN.
    """
    values = _checked(y, "y")
    known = ~np.isnan(values)
    group, number = _groups(clusters, known)
    values = values[known]
    n = len(values)
    if not n:
        nan = math.nan
        return WinRate(nan, nan, nan, nan, nan, 0, 0, 0, 0, len(known))
    mean = values.mean()
    sums = np.bincount(group, values, number)
    sizes = np.bincount(group, minlength=number).astype(float)
    low = high = error = np.nan
    if number > 1:
        error = np.sqrt(number / (number - 1) * ((sums - mean * sizes) ** 2).sum()) / n
        counts = _counts(number, draws, seed)
        usual = n / number  # answers of an imagined instruction
        top = counts[:, :-2] @ sums + usual * counts[:, -1]  # the last one won
        bottom = counts[:, :-2] @ sizes + usual * counts[:, -2:].sum(axis=1)
        low, high = _tails(top / bottom, level)
    wins, losses = int((values > 0.5).sum()), int((values < 0.5).sum())
    ties = n - wins - losses
    return WinRate(
        win_rate=100 * float(mean),
        low=100 * low,
        high=100 * high,
        standard_error=100 * float(error),
        discrete=100 * (wins + ties / 2) / n,
        wins=wins,
        losses=losses,
        ties=ties,
        n=n,
        unjudged=int((~known).sum()),
    )


def length_controlled(
    y: ArrayLike,
    lengths: ArrayLike,
    reference_lengths: ArrayLike,
    *,
    difficulty: ArrayLike | None = None,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> LengthControlled:
    """The length-controlled win rate and its interval.

    y: [n]. lengths, reference_lengths: [n] of the answers, in characters. difficulty: [n] gamma of
    each instruction, or None to leave the term out. The rest as in `win_rate`. sd(d) is that of the
    answers judged, and stays so in every draw. MeasureError where all answers differ from the
    reference's by the same length, for then nothing tells length from strength.
    """
    values = _checked(y, "y")
    ours, theirs = np.asarray(lengths, float), np.asarray(reference_lengths, float)
    _same_length("y", values, "lengths", ours)
    _same_length("y", values, "reference_lengths", theirs)
    known = ~np.isnan(values)
    group, number = _groups(clusters, known)
    n = int(known.sum())
    if n < 2:
        nan = math.nan
        return LengthControlled(nan, nan, nan, nan, nan, nan, n)
    values = values[known]
    columns = [np.ones(n), length_term(ours[known], theirs[known])]
    if difficulty is not None:
        gamma = np.asarray(difficulty, float)
        _same_length("y", known, "difficulty", gamma)
        columns.append(gamma[known])
        if not np.isfinite(columns[2]).all():
            raise MeasureError(
                "difficulty: an instruction that was judged has none; give a number for each, or "
                "leave difficulty out."
            )
    design = np.stack(columns, axis=1)
    alike = design * np.where(np.arange(len(columns)) == 1, 0.0, 1.0)  # as long as the reference's
    beta = fit_logistic(design, values, penalty=PENALTY)
    rate = float(sigmoid(beta @ alike.T).mean())
    low = high = math.nan
    if number > 1:
        counts = _counts(number, draws, seed)
        times = counts[:, group]
        usual = n / number  # answers of an imagined instruction
        drawn = fit_logistic(
            np.concatenate([design, *[alike.mean(axis=0, keepdims=True)] * 2]),
            np.append(values, [0.0, 1.0]),
            weights=np.concatenate([times, usual * counts[:, -2:]], axis=1),
            penalty=PENALTY,
        )
        some = times.any(axis=1)  # a draw of imagined instructions alone says nothing
        won = (sigmoid(drawn @ alike.T) * times).sum(axis=1)
        low, high = _tails(won[some] / times[some].sum(axis=1), level)
    psi = float(beta[0, 2]) if difficulty is not None else np.nan
    theta, phi = float(beta[0, 0]), float(beta[0, 1])
    return LengthControlled(100 * rate, 100 * low, 100 * high, theta, phi, psi, n)


def length_term(lengths: ArrayLike, reference_lengths: ArrayLike) -> Floats:
    """tanh(d / sd(d)) of equation 1: [n], from -1 (far shorter than the reference) to 1."""
    ours, theirs = np.asarray(lengths, float), np.asarray(reference_lengths, float)
    _same_length("lengths", ours, "reference_lengths", theirs)
    difference = ours - theirs
    if not np.isfinite(difference).all():
        raise MeasureError(
            "lengths: an answer that was judged has none; give the characters of each answer and "
            "of the reference's."
        )
    if len(difference) < 2 or not difference.any():
        return np.zeros(len(difference))
    spread = difference.std(ddof=1)
    if spread == 0:
        raise MeasureError(
            f"lengths: every answer differs from the reference's by {difference[0]:g} characters, "
            "so length cannot be told from strength; give the plain win rate."
        )
    found: Floats = np.tanh(difference / spread)
    return found


def instruction_difficulty(y: ArrayLike, terms: ArrayLike) -> Floats:
    """gamma of equation 1, fitted to several models at once with psi = 1: [instructions].

    y: [models, instructions]. terms: the same shape, each row from `length_term`. gamma has the
    penalty of a standard normal prior, theta and phi of each model the weak one; an instruction
    that no model was judged on has 0. Models and instructions are fitted in turn until no gamma
    moves by 1e-6 (a convex sum, so there is one answer).
    """
    values, terms = np.asarray(y, float), np.asarray(terms, float)
    if values.ndim != 2 or values.shape != terms.shape:
        raise MeasureError(
            f"y and terms: shapes {values.shape} and {terms.shape}; give [models, instructions] of "
            "both."
        )
    known = (~np.isnan(values)).astype(float)
    values = np.where(known > 0, values, 0.5)
    gamma, one = np.zeros(values.shape[1]), np.ones((len(values), 1))
    for _ in range(500):
        designs = [np.stack([np.ones(len(gamma)), term], axis=1) for term in terms]
        levels = np.stack(
            [
                design @ fit_logistic(design, row, offset=gamma, weights=seen, penalty=PENALTY)[0]
                for design, row, seen in zip(designs, values, known, strict=True)
            ]
        )
        before = gamma
        gamma = fit_logistic(one, values.T, offset=levels.T, weights=known.T, penalty=1.0)[:, 0]
        if np.abs(gamma - before).max(initial=0.0) < 1e-6:
            break
    return gamma


def _checked(y: ArrayLike, name: str) -> Floats:
    """Outcomes [n], each NaN or from 0 to 1."""
    values = np.asarray(y, float)
    bad = values[(values < 0) | (values > 1)]
    if values.ndim != 1 or len(bad):
        what = f"{bad[0]:g}" if len(bad) else f"an array of shape {values.shape}"
        raise MeasureError(
            f"{name}: {what}; give a list of numbers from 0 (lost) to 1 (won), as `outcomes` makes "
            "of AlpacaEval's preferences."
        )
    return values


def _same_length(
    name: str, one: NDArray[np.generic], other_name: str, other: NDArray[np.generic]
) -> None:
    if one.shape != other.shape:
        raise MeasureError(
            f"{name} and {other_name}: {one.size} and {other.size} values; give both for each pair."
        )


def _groups(clusters: Sequence[Hashable] | None, known: NDArray[np.bool_]) -> tuple[Ints, int]:
    """[judged] the number of each one's instruction, and how many there are."""
    if clusters is None:
        number = int(known.sum())
        return np.arange(number), number
    if len(clusters) != len(known):
        raise MeasureError(
            f"y and clusters: {len(known)} and {len(clusters)} values; give both for each pair."
        )
    numbers: dict[Hashable, int] = {}
    judged = [one for one, judged in zip(clusters, known, strict=True) if judged]
    return np.array([numbers.setdefault(one, len(numbers)) for one in judged], int), len(numbers)


def _counts(number: int, draws: int, seed: int) -> Floats:
    """[draws, number + 2]: how often each instruction is drawn; the last two are imagined."""
    if draws < 1:
        raise MeasureError(f"draws: {draws}; a bootstrap needs one or more, such as 2000.")
    rng = np.random.default_rng(named_seed("preference", seed))
    size = number + 2
    return rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(float)


def _tails(drawn: Floats, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise MeasureError(f"level: {level} is no confidence level; give one such as 0.95.")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
