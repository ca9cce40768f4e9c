"""Gains of one description over another, patch by patch, and SIFT of the middle of a window."""

from __future__ import annotations

import numpy as np
import pytest

from striate.analysis import InvarianceCurve
from striate.experiments.maps.invariance_vs_sift import of_length_1, paired_gains, sift
from striate.hierarchy import DenseSIFT


def curve(distances: np.ndarray) -> InvarianceCurve:
    shifts = np.arange(distances.shape[1], dtype=float)
    return InvarianceCurve(shifts, distances, distances.mean(axis=0), np.zeros(distances.shape[1]))


def test_gains_are_paired(rng: np.random.Generator) -> None:
    """What makes a patch hard for both does not count; neither do shift 0 and shifts beyond the longest."""
    hard = rng.random((50, 1)) * 10
    gain = rng.random(50)
    base = np.tile(hard, (1, 6))
    better = base - gain[:, None]
    better[:, 0], better[:, 4:] = 99, -99
    found = paired_gains(
        {"shift": curve(better), "rotated": curve(base - 2 * gain[:, None])},
        {"shift": curve(base), "rotated": curve(base)},
        3,
    )
    error = gain.std(ddof=1) / np.sqrt(50)
    assert found["shift"] == pytest.approx((gain.mean(), error))
    assert found["rotated"] == pytest.approx((2 * gain.mean(), 2 * error))
    assert found["more"] == pytest.approx((gain.mean(), error))


def test_sift_of_a_larger_window_is_of_its_middle(rng: np.random.Generator) -> None:
    wide = rng.random((3, 24, 24)).astype(np.float32)
    found = sift(wide, 16)
    assert found.shape == (3, 128)
    grid = DenseSIFT(16, 1).apply(wide[0][..., None])
    np.testing.assert_allclose(found[0], grid[4, 4], atol=1e-6)
    alone = sift(wide[:, 4:-4, 4:-4], 16)
    assert 0.05 < np.linalg.norm(found - alone, axis=1).max() < 0.8  # cells at the border see what is around


def test_rows_of_length_1(rng: np.random.Generator) -> None:
    features = np.concatenate([rng.random((4, 8)), np.zeros((1, 8))])
    np.testing.assert_allclose(np.linalg.norm(of_length_1(features), axis=1), [1, 1, 1, 1, 0])
