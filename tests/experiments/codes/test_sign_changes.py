"""Change ratios on codes whose changes are known."""

from __future__ import annotations

import numpy as np
import pytest

from striate.experiments.codes.sign_changes import compare, signs_of, thresholds_of
from striate.experiments.data.video import Scenes

N_PAIRS, N_UNITS = 4000, 3


def scenes() -> Scenes:
    """Pairs of rows (2k, 2k + 1) in four clips of one video."""
    first = 2 * np.arange(N_PAIRS)
    pairs = np.stack([first, first + 1, np.arange(N_PAIRS) % 4], axis=1)
    return Scenes(np.zeros((2 * N_PAIRS, 1), np.float32), np.ones(2 * N_PAIRS, bool), {"next frame": pairs}, ("v",) * 4)


def test_a_unit_is_active_as_often_as_asked(rng: np.random.Generator) -> None:
    codes = rng.standard_normal((1000, 5))
    active = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    shares = (signs_of(codes, thresholds_of(codes, active)) != 0).mean(axis=0)
    np.testing.assert_allclose(shares, [0, 0.1, 0.5, 0.9, 0.999], atol=1e-12)  # one is always at the threshold


def test_signs_are_zero_up_to_the_threshold() -> None:
    np.testing.assert_array_equal(signs_of(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 1.0), [-1, 0, 0, 0, 1])


def test_a_code_that_stays_has_ratio_0_and_one_at_random_has_1(rng: np.random.Generator) -> None:
    stays = np.repeat(rng.integers(-1, 2, (N_PAIRS, N_UNITS)), 2, axis=0).astype(np.int8)
    random = rng.integers(-1, 2, (2 * N_PAIRS, N_UNITS)).astype(np.int8)
    half = np.where(rng.random((2 * N_PAIRS, N_UNITS)) < 0.5, stays, random).astype(np.int8)
    found = compare({"optimal": random, "predicted": half, "kept": stays}, scenes(), 0, control="optimal")
    ratios = found["estimates"]["ratio"]["next frame"]
    assert ratios["kept"]["value"] == 0
    assert ratios["optimal"]["value"] == pytest.approx(1, abs=0.03)
    assert ratios["predicted"]["value"] == pytest.approx(0.75, abs=0.03)
    over = found["estimates"]["over control"]["next frame"]
    assert over == found["estimates"]["over optimal"]["next frame"]["predicted"]
    assert over["low"] < over["value"] < over["high"]
