"""Sparse coding of signals with weights, in order, of any scale and type; what a state keeps; mapped models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from striate.coding import infer, infer_until
from striate.errors import StriateError, UsageError
from striate.learning import SparseCoding


def signals_of(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    return rng.laplace(size=(n, 12)) @ rng.standard_normal((12, 12))


def test_integer_weights_count_as_repeated_signals(rng: np.random.Generator) -> None:
    signals, start = signals_of(rng, 40), rng.standard_normal((8, 12))
    weights = rng.integers(0, 4, 40)
    options: dict[str, Any] = {"n_components": 8, "sparsity": 1.0, "start": start, "forgetting": 2.0}
    weighted, repeated = SparseCoding(**options), SparseCoding(**options)
    for rows in (slice(0, 15), slice(15, 40)):
        weighted.partial_fit(signals[rows], sample_weight=weights[rows])
        repeated.partial_fit(signals[rows].repeat(weights[rows], axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-9)
    np.testing.assert_allclose(weighted.usage_, repeated.usage_)
    np.testing.assert_allclose(weighted._code_products, repeated._code_products)
    assert weighted._n_seen == repeated._n_seen == weights.sum()


def test_signals_of_weight_zero_are_not_learned_from(rng: np.random.Generator) -> None:
    signals = signals_of(rng, 400)
    signals[:, 3] = 0
    wrong = 100 * np.eye(12)[[3] * 200]
    both, weights = np.vstack([signals, wrong]), np.r_[np.ones(400), np.zeros(200)]
    learner = SparseCoding(10, max_batches=60, batch_size=64, random_state=0).fit(both, sample_weight=weights)
    assert np.abs(learner.components_[:, 3]).max() < 0.1
    assert learner.objective_ < 1000
    same = SparseCoding(10, sparsity=1.0, max_batches=5, random_state=0)
    ones = same.fit(signals, sample_weight=np.ones(400)).components_
    np.testing.assert_allclose(ones, same.fit(signals).components_, atol=1e-9)


@pytest.mark.parametrize(
    "weights", [np.ones(3), -np.ones(300), np.full(300, np.nan), "equal", np.zeros(300), np.ones((300, 1))]
)
def test_wrong_weights_are_refused(rng: np.random.Generator, weights: Any) -> None:
    signals = signals_of(rng)
    with pytest.raises(UsageError, match="sample_weight is"):
        SparseCoding(6).fit(signals, sample_weight=weights)
    with pytest.raises(UsageError, match="sample_weight is"):
        SparseCoding(6).partial_fit(signals, sample_weight=weights)
    with pytest.raises(UsageError, match="to partial_fit"):
        SparseCoding(6).fit(iter([signals]), sample_weight=np.ones(300))
    unknown: dict[str, Any] = {"weights": np.ones(300)}
    with pytest.raises(TypeError, match="unexpected keyword argument 'weights'"):
        SparseCoding(6).fit(signals, **unknown)


def test_without_shuffling_signals_come_in_their_order(rng: np.random.Generator) -> None:
    signals, start = signals_of(rng, 90), rng.standard_normal((8, 12))
    options: dict[str, Any] = {"n_components": 8, "sparsity": 1.0, "start": start}
    learner = SparseCoding(
        **options, shuffle=False, validation_fraction=0, batch_size=25, max_epochs=2, tolerance=0
    ).fit(signals)
    by_hand = SparseCoding(**options)
    for _ in range(2):
        for first in range(0, 90, 25):
            by_hand.partial_fit(signals[first : first + 25])
    np.testing.assert_array_equal(learner.components_, by_hand.components_)
    assert learner.n_batches_ == 8


def test_a_callback_sees_every_batch_and_may_end_learning(rng: np.random.Generator) -> None:
    seen: list[int] = []

    def look(learner: SparseCoding) -> bool:
        seen.append(learner.n_batches_)
        return learner.n_batches_ == 4

    learner = SparseCoding(6, batch_size=20, max_batches=10, random_state=0).fit(signals_of(rng), callback=look)
    assert seen == [1, 2, 3, 4]
    assert learner.n_batches_ == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e20, 1e30])
def test_signals_of_any_scale_are_learned_from(rng: np.random.Generator, dtype: Any, scale: float) -> None:
    signals = signals_of(rng).astype(dtype)
    power = float(2.0 ** np.round(np.log2(scale)))  # with a power of two nothing is rounded
    options: dict[str, Any] = {"n_components": 10, "active_fraction": 0.2, "max_batches": 12, "random_state": 0}
    plain = SparseCoding(**options).fit(signals)
    scaled = SparseCoding(**options).fit(signals * dtype(power))
    np.testing.assert_array_equal(scaled.components_, plain.components_)
    assert scaled.sparsity_ == plain.sparsity_ * power
    assert scaled.objective_ == pytest.approx(plain.objective_ * power**2)
    codes, expected = scaled.transform(signals * dtype(power)), plain.transform(signals)
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, expected * dtype(power))
    assert 0.1 < (codes != 0).mean() < 0.3
    found = scaled.infer(signals * dtype(power), info=True, start=codes)
    assert found.relative_gap.max() < 1e-3
    assert found.objective.mean() == pytest.approx(-scaled.score(signals * dtype(power)), rel=1e-4)
    again = SparseCoding.from_state(*scaled.to_state(training=True))
    np.testing.assert_array_equal(again.transform(signals * dtype(power)), codes)
    np.testing.assert_array_equal(
        again.partial_fit(signals * dtype(power)).components_, plain.partial_fit(signals).components_
    )
    fixed = SparseCoding(10, sparsity=plain.sparsity_ * power, max_batches=3, random_state=0)
    assert (fixed.fit(signals * dtype(power)).transform(signals * dtype(power)) != 0).any()


def test_signals_that_are_all_zero_have_codes_that_are_all_zero() -> None:
    for options in ({}, {"max_nonzero": 2}, {"sparsity": 0.1, "refit": True}, {"positive_components": True}):
        learner = SparseCoding(5, max_batches=3, random_state=0, **options).fit(np.zeros((60, 7)))
        assert np.isfinite(learner.components_).all()
        assert not learner.transform(np.zeros((4, 7))).any()


def test_numbers_beyond_all_bounds_end_with_an_error(rng: np.random.Generator) -> None:
    signals = signals_of(rng)
    learner = SparseCoding(8, sparsity=1.0, random_state=0).partial_fit(signals)
    learner._signal_products[2, 3] = np.inf
    with np.errstate(all="ignore"), pytest.raises(StriateError, match="not finite after batch 2"):
        learner.partial_fit(signals)


@pytest.mark.parametrize("n_components", [10, 20, 30])
def test_few_units_leave_few_codes_empty(rng: np.random.Generator, n_components: int) -> None:
    signals = signals_of(rng, 1000)
    learner = SparseCoding(n_components, max_batches=100, batch_size=100, random_state=0).fit(signals)
    codes = learner.transform(signals)
    assert (codes != 0).sum(axis=1).mean() == pytest.approx(1, rel=0.3)
    assert SparseCoding(1, max_batches=5).fit(signals).transform(signals).any()


def test_a_number_of_active_units_may_be_learned_with(rng: np.random.Generator) -> None:
    signals = signals_of(rng)
    learner = SparseCoding(16, max_nonzero=3, max_batches=40, batch_size=50, random_state=0).fit(signals)
    codes = learner.transform(signals)
    np.testing.assert_array_equal(codes, infer_until(signals, learner.components_, max_nonzero=3))
    assert learner.sparsity_ == 0
    error = 0.5 * np.square(signals - codes @ learner.components_).sum(axis=1).mean()
    assert -learner.score(signals) == pytest.approx(error)
    first = SparseCoding(16, max_nonzero=3, max_batches=1, batch_size=50, random_state=0).fit(signals)
    assert learner.score(signals) > first.score(signals)
    refitted = SparseCoding(16, max_nonzero=3, refit=True, max_batches=40, batch_size=50, random_state=0).fit(signals)
    assert refitted.score(signals) > learner.score(signals)
    with pytest.raises(UsageError, match="use transform"):
        learner.infer(signals)
    split = learner.set_params(split_sign=True)
    np.testing.assert_allclose(split.inverse_transform(split.transform(signals)), codes @ learner.components_)
    assert len(split.get_feature_names_out()) == 32


def test_an_l2_term_is_learned_with(rng: np.random.Generator) -> None:
    signals = signals_of(rng)
    for options in ({"sparsity": 1.0}, {"max_nonzero": 3}):
        learner = SparseCoding(16, l2=0.5, max_batches=20, batch_size=50, random_state=0, **options).fit(signals)
        codes = learner.transform(signals)
        slopes = (signals - codes @ learner.components_) @ learner.components_.T - 0.5 * codes
        active = codes != 0
        levels = np.where(active, np.abs(slopes), 0).max(axis=1, keepdims=True) + np.zeros(codes.shape)
        np.testing.assert_allclose(np.abs(slopes)[active], levels[active], atol=0.05)
        objective = 0.5 * np.square(signals - codes @ learner.components_).sum(axis=1)
        objective += 0.25 * np.square(codes).sum(axis=1) + learner.sparsity_ * np.abs(codes).sum(axis=1)
        assert -learner.score(signals) == pytest.approx(objective.mean(), rel=1e-6)


def test_a_state_keeps_every_parameter(rng: np.random.Generator) -> None:
    signals = signals_of(rng)
    numbers: dict[str, Any] = {
        "n_components": np.uint8(100), "sparsity": np.float32(0.5), "active_fraction": np.float64(0.1),
        "positive": np.bool_(False), "batch_size": np.uint8(200), "max_batches": np.uint8(3),
        "forgetting": np.float16(2), "tolerance": np.array(1e-3), "random_state": np.int64(0),
        "start": rng.standard_normal((100, 12)),
    }  # fmt: skip
    learner = SparseCoding(**numbers).fit(signals)
    again = SparseCoding.from_state(*learner.to_state(training=True))
    for name, value in learner.get_params().items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert again.sparsity_ == learner.sparsity_ == 0.5
    for _ in range(5):
        learner.partial_fit(signals)
        again.partial_fit(signals)
    np.testing.assert_array_equal(again.components_, learner.components_)
    assert again.sparsity_ == learner.sparsity_ == 0.5
    learner.method = {"active_set"}  # type: ignore[assignment]
    with pytest.raises(UsageError, match="method is"):
        learner.to_state()


def test_a_mapped_model_codes_and_learns_on(rng: np.random.Generator, tmp_path: Path) -> None:
    signals = signals_of(rng)
    learner = SparseCoding(12, sparsity=1.0, max_batches=5, random_state=0).fit(signals)
    joblib.dump(learner, tmp_path / "learner.joblib")
    for method in ("active_set", "coordinate_descent", "feature_sign", "homotopy", "greedy_descent", "fista"):
        mapped = joblib.load(tmp_path / "learner.joblib", mmap_mode="r").set_params(method=method)
        np.testing.assert_allclose(mapped.transform(signals), learner.transform(signals), atol=0.02)
        np.testing.assert_allclose(
            mapped.partial_fit(signals).components_,
            SparseCoding.from_state(*learner.to_state(training=True)).partial_fit(signals).components_, atol=1e-3,
        )  # fmt: skip


@pytest.mark.parametrize("method", ["active_set", "coordinate_descent", "feature_sign", "homotopy", "fista"])
def test_one_unit_one_feature_and_other_types(rng: np.random.Generator, method: Any) -> None:
    signals = signals_of(rng, 60)
    for n_components, some in ((1, signals), (3, signals[:, :1]), (1, signals[:, :1])):
        learner = SparseCoding(n_components, sparsity=0.1, method=method, max_batches=3, random_state=0)
        expected = learner.fit(some).transform(some)
        best = infer(some, learner.components_, 0.1)
        np.testing.assert_allclose(expected @ learner.components_, best @ learner.components_, atol=0.02)
        for layout in (np.asfortranarray(some), some.astype(">f8"), some[::-1].copy()[::-1]):
            np.testing.assert_array_equal(learner.fit(layout).transform(layout), expected)
    single = SparseCoding(4, max_batches=3, random_state=0)
    for dtype in (">f4", np.float16):
        assert single.fit(signals.astype(dtype)).components_.dtype == np.float32
        assert single.transform(signals.astype(dtype)).dtype == np.float32


def test_another_width_is_refused(rng: np.random.Generator) -> None:
    signals = signals_of(rng)
    learner = SparseCoding(4, max_batches=3).fit(signals)
    for call in (learner.transform, learner.partial_fit, learner.score, learner.infer):
        with pytest.raises(ValueError, match="features"):
            call(signals[:, :5])
