"""The guarantee of split conformal prediction, counted exactly and by simulation."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from striate.errors import UsageError
from striate.recognition import ConformalRejection, strangeness


def logits_of(scores: np.ndarray) -> np.ndarray:
    """With a single class, a sample's strangeness is minus its logit."""
    return -scores[:, None]


@pytest.mark.parametrize(("n", "error_rate"), [(19, 0.05), (50, 0.05), (99, 0.1), (137, 0.25), (30, 0.5)])
def test_the_rate_of_false_alarms_over_many_calibration_sets(
    n: int, error_rate: float, rng: np.random.Generator
) -> None:
    # Of uniform scores, exactly 1 − threshold are above a threshold, which is the rank-th of n in order: its
    # distribution is Beta(rank, n + 1 − rank).
    draws = rng.random((4000, n))
    rates = np.array([1 - ConformalRejection(error_rate).fit(logits_of(scores)).threshold_ for scores in draws])
    alarms = math.floor(round(error_rate * (n + 1), 9))
    expected = alarms / (n + 1)
    deviation = math.sqrt(expected * (1 - expected) / (n + 2))
    assert error_rate - 1 / (n + 1) < expected <= error_rate
    assert abs(rates.mean() - expected) < 4 * deviation / math.sqrt(len(draws))
    assert rates.std() == pytest.approx(deviation, rel=0.06)


@pytest.mark.parametrize("n", [1, 2, 9, 19, 20, 60, 199, 1234])
def test_of_exchangeable_samples_exactly_so_many_are_called_unknown(n: int, rng: np.random.Generator) -> None:
    # Each of n + 1 samples in turn is the new one. At a rate of alarms/(n + 1), in which rounding hides, it is one of
    # the so many strangest; nothing else about the scores matters.
    scores = np.sort(rng.standard_cauchy(n + 1))
    for alarms in range(1, n + 1, max(1, n // 40)):
        thresholds = [
            ConformalRejection(alarms / (n + 1)).fit(logits_of(np.delete(scores, new))) for new in (0, n - alarms, n)
        ]
        called = [
            bool(one.is_unknown(logits_of(scores[new : new + 1]))[0])
            for one, new in zip(thresholds, (0, n - alarms, n), strict=True)
        ]
        assert called == [False, False, True]
        # The new sample is above the threshold exactly when n + 1 − alarms others are not.
        assert thresholds[2].threshold_ == scores[n - alarms]


def test_ties_are_no_alarm(rng: np.random.Generator) -> None:
    logits = np.repeat(rng.standard_normal((1, 3)), 100, axis=0)
    assert not ConformalRejection(0.5).fit(logits).is_unknown(logits).any()


def test_single_precision_decides_as_it_was_fitted(rng: np.random.Generator) -> None:
    logits = rng.standard_normal((999, 4)).astype(np.float32)
    rejection = ConformalRejection(0.1).fit(logits)
    assert rejection.is_unknown(logits).sum() == 99  # 900 of 999 are not above the 900th
    assert rejection.is_unknown(logits).dtype == bool


@pytest.mark.parametrize(("n", "error_rate"), [(0, 0.5), (18, 0.05), (8, 0.1), (98, 0.01)])
def test_too_few_held_out_samples_make_nothing_unknown(n: int, error_rate: float) -> None:
    rejection = ConformalRejection(error_rate).fit(np.zeros((n, 3)))
    assert rejection.threshold_ == math.inf
    assert not rejection.is_unknown(np.full((2, 3), -1e30)).any()
    assert math.isfinite(ConformalRejection(error_rate).fit(np.zeros((n + 1, 3))).threshold_)


@pytest.mark.parametrize("n", [3, 40])
def test_the_state_goes_through_json(n: int, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((n, 3))
    rejection = ConformalRejection(0.125).fit(logits)
    assert math.isinf(rejection.threshold_) == (n == 3)
    arrays, header = rejection.to_state()
    again = ConformalRejection.from_state(arrays, json.loads(json.dumps(header, allow_nan=False)))
    assert vars(again) == vars(rejection)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_strangeness_is_minus_the_log_of_the_summed_exponentials(
    scale: float, dtype: type, rng: np.random.Generator
) -> None:
    logits: NDArray[Any] = (scale * rng.standard_normal((50, 7))).astype(dtype)
    found = strangeness(logits)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, -logsumexp(logits.astype(np.float64), axis=1), rtol=10 * float(np.finfo(dtype).eps)
    )


@pytest.mark.parametrize("error_rate", [0, 1, -0.1, 1.5, math.nan, math.inf, -math.inf])
def test_rates_out_of_range(error_rate: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        ConformalRejection(error_rate)
