"""Copies of a sample in cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.recognition import SoftmaxClassifier


@pytest.fixture(scope="module")
def samples() -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 20)
    return rng.normal(size=(60, 200)) + 0.2 * np.eye(3, 200)[codes], codes


@pytest.mark.parametrize("n_features", [5, 200])
def test_groups_of_one_change_nothing(samples: tuple[NDArray, NDArray], n_features: int) -> None:
    rows, codes = samples
    rows = rows[:, :n_features]
    alone = SoftmaxClassifier(random_state=0).fit(rows, codes)
    grouped = SoftmaxClassifier(random_state=0).fit(rows, codes, groups=np.arange(60))
    np.testing.assert_array_equal(alone.coef_, grouped.coef_)
    assert alone.cross_validation_ == grouped.cross_validation_


@pytest.mark.parametrize("n_features", [5, 200])
def test_copies_are_held_out_together(samples: tuple[NDArray, NDArray], n_features: int) -> None:
    rows, codes = samples
    rows = rows[:, :n_features]
    options: dict[str, Any] = {"random_state": 0, "weight_decay": 0.1}
    alone = SoftmaxClassifier(**options).fit(rows, codes)
    twice, both = np.concatenate([rows, rows]), np.concatenate([codes, codes])
    grouped = SoftmaxClassifier(**options).fit(twice, both, groups=np.tile(np.arange(60), 2))
    # Every sample twice is the same problem, held out in the same folds.
    (one,), (other,) = alone.cross_validation_, grouped.cross_validation_
    assert one["accuracy"] == pytest.approx(other["accuracy"])
    assert one["log_loss"] == pytest.approx(other["log_loss"], rel=1e-3)
    np.testing.assert_allclose(alone.coef_, grouped.coef_, atol=2e-3)
    if n_features == 200:  # a sample whose copy is in the training set is known
        leaked = SoftmaxClassifier(**options).fit(twice, both)
        assert leaked.cross_validation_[0]["accuracy"] > one["accuracy"] + 0.2


def test_copies_do_not_count_as_labels(samples: tuple[NDArray, NDArray]) -> None:
    rows, codes = (each[::5] for each in samples)  # four labels per class: the prior decides
    alone = SoftmaxClassifier(random_state=0).fit(rows, codes)
    grouped = SoftmaxClassifier(random_state=0).fit(
        np.concatenate([rows, rows]), np.tile(codes, 2), groups=np.tile(np.arange(len(codes)), 2)
    )
    assert grouped.weight_decay_ == alone.weight_decay_
    assert len(grouped.cross_validation_) == len(alone.cross_validation_) == 1


def test_mistakes(samples: tuple[NDArray, NDArray]) -> None:
    rows, codes = samples
    with pytest.raises(UsageError, match="do not fit 60 samples"):
        SoftmaxClassifier().fit(rows, codes, groups=np.arange(59))
    with pytest.raises(UsageError, match="more than one class"):
        SoftmaxClassifier().fit(rows, codes, groups=np.zeros(60, int))
