"""How often the signs of codes change between two patches, compared with chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.data.video import FRAMES, Scenes

__all__ = ["compare", "signs_of", "thresholds_of"]

_FEWEST = 20  # pairs in which a unit must be active to be counted
_RESAMPLES = 1000


def thresholds_of(codes: NDArray[Any], active: NDArray[np.float64]) -> NDArray[Any]:
    """Return for each unit the magnitude that a fraction `active` of its codes exceeds."""
    n_active = np.rint(active * len(codes)).astype(np.int64)
    last_inactive = np.maximum(len(codes) - 1 - n_active, 0)
    magnitudes = np.ascontiguousarray(np.abs(codes).T)
    return np.array([np.partition(unit, last)[last] for unit, last in zip(magnitudes, last_inactive, strict=True)])


def signs_of(codes: NDArray[Any], thresholds: NDArray[Any] | float = 0.0) -> NDArray[np.int8]:
    """Return −1, 0 or 1 for each number: 0 up to the threshold."""
    return (codes > thresholds).astype(np.int8) - (codes < -thresholds).astype(np.int8)


def compare(signs: Mapping[str, NDArray[np.int8]], scenes: Scenes, seed: int, *, control: str) -> dict[str, Any]:
    """Return change ratios with intervals over clips, and tables of transitions.

    Parameters
    ----------
    signs : mapping of code to int8 (n_patches, n_units)
        The signs of "optimal", "predicted" and `control` are needed.
    scenes : Scenes
    seed : int
        Seed of the bootstrap.
    control : str
        The code that predicted codes are compared with, besides optimal ones.
    """
    n_clips = len(scenes.videos)
    rng = np.random.default_rng(seed)
    weights = _resampled(np.ones(n_clips, bool), rng)
    estimates: dict[str, Any] = {
        "ratio": {},
        "over optimal": {},
        "over control": {},
        "change": {},
        "change at random": {},
    }
    estimates |= {"steadier units": {}, "videos": {}}
    facts: dict[str, Any] = {"units counted": {}, "unit ratios": {}, "tables": {}}
    for name, pairs in scenes.pairs.items():
        counts = {code: _transitions(found, pairs, n_clips) for code, found in signs.items()}
        n_active = np.minimum(*(counts[code][:, :, ::2].sum(axis=(0, 2, 3)) for code in ("optimal", "predicted")))
        counts = {code: found[:, n_active >= _FEWEST] for code, found in counts.items()}
        rates = {code: _rates(weights, found) for code, found in counts.items()}
        ratios = {code: _ratio_over_units(found) for code, found in rates.items()}
        estimates["ratio"][name] = {code: _estimate(found, n_clips) for code, found in ratios.items()}
        estimates["over optimal"][name] = {
            code: _estimate(found / ratios["optimal"], n_clips) for code, found in ratios.items() if code != "optimal"
        }
        estimates["over control"][name] = _estimate(ratios["predicted"] / ratios[control], n_clips)
        for key in ("change", "change at random"):
            estimates[key][name] = {
                code: _estimate(np.nanmean(found[key], axis=1), n_clips) for code, found in rates.items()
            }
        if name not in FRAMES:
            continue
        by_unit = {code: rates[code]["change"] / rates[code]["change at random"] for code in ("optimal", "predicted")}
        known = np.isfinite(by_unit["predicted"] + by_unit["optimal"])
        steadier = (by_unit["predicted"] < by_unit["optimal"]).sum(axis=1) / known.sum(axis=1)
        estimates["steadier units"][name] = _estimate(steadier, n_clips)
        estimates["videos"][name] = {}
        for video in dict.fromkeys(scenes.videos):
            chosen = np.array(scenes.videos) == video
            alone = _resampled(chosen, rng)
            predicted, optimal = (_ratio_over_units(_rates(alone, counts[code])) for code in ("predicted", "optimal"))
            estimates["videos"][name][video] = _estimate(predicted / optimal, int(chosen.sum()))
        facts["units counted"][name] = counts["optimal"].shape[1]
        facts["unit ratios"][name] = {code: found[0].round(4) for code, found in by_unit.items()}
        facts["tables"][name] = {code: _table(found.sum(axis=(0, 1))) for code, found in counts.items()}
        if name == "next frame":
            share = counts["optimal"].sum(axis=(0, 3))
            share = share / share.sum(axis=1, keepdims=True)
            facts["tables"]["random"] = {"optimal": _table((share[:, :, None] * share[:, None, :]).sum(axis=0))}
    return {"estimates": estimates, "clips": n_clips, "pairs": {n: len(p) for n, p in scenes.pairs.items()}, **facts}


def _resampled(clips: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each clip is drawn, (1 + n_resamples, n_clips); the first row is the sample itself."""
    n_clips = int(clips.sum())
    weights = np.zeros((1 + _RESAMPLES, len(clips)), np.int64)
    weights[0, clips] = 1
    weights[1:, clips] = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=_RESAMPLES)
    return weights


def _transitions(signs: NDArray[np.int8], pairs: NDArray[np.int64], n_clips: int) -> NDArray[np.int64]:
    """Count the pairs that go from each sign to each, −, 0 and + in this order: (n_clips, n_units, 3, 3)."""
    counts = np.zeros((n_clips, signs.shape[1], 9), np.int64)
    for clip in range(n_clips):
        before, after, _ = pairs[pairs[:, 2] == clip].T
        transition = 3 * signs[before] + signs[after] + 4  # 0 to 8
        for k in range(9):
            counts[clip, :, k] = (transition == k).sum(axis=0)
    return counts.reshape(n_clips, -1, 3, 3)


def _rates(weights: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return how often an active unit changes, in a pair and in two patches at random: (1 + n_resamples, n_units) each.

    The second is computed exactly, over all pairs of patches that come first in a pair.
    """
    found = np.tensordot(weights.astype(np.float64), counts.astype(np.float64), 1)
    before = found.sum(axis=3)
    active = before[..., 0] + before[..., 2]
    same = before[..., 0] ** 2 + before[..., 2] ** 2
    with np.errstate(invalid="ignore"):  # a unit that is never active has no rate
        return {
            "change": 1 - (found[..., 0, 0] + found[..., 2, 2]) / active,
            "change at random": 1 - same / (active * before.sum(axis=2)),
        }


def _ratio_over_units(rates: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the change ratio of each unit, averaged over units."""
    mean: NDArray[np.float64] = np.nanmean(rates["change"] / rates["change at random"], axis=1)
    return mean


def _estimate(values: NDArray[np.float64], n_clips: int) -> dict[str, float | int]:
    """Return the first value, that of the sample, with the 95 % interval and the deviation of the resampled ones."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    named = {"value": values[0], "low": low, "high": high, "error": values[1:].std()}
    return {name: round(float(value), 4) for name, value in named.items()} | {"clips": n_clips}


def _table(counts: NDArray[Any]) -> list[list[float]]:
    """Return, for pairs that begin with each sign, the percentages that end with each sign."""
    shares: list[list[float]] = (counts / counts.sum(axis=1, keepdims=True)).round(4).tolist()
    return shares
