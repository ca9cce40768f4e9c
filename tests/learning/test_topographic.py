"""Learners of units on a sheet: what they learn, their pooled features, files, resuming, and sheets that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.coding import Sheet, certify_topographic, topographic_energy
from striate.errors import UsageError
from striate.figures import filter_mosaic
from striate.images import as_images, load_mnist_digits, sample_patches
from striate.learning import PSD, TopographicPSD, TopographicSparseCoding
from tests.killing import learn_through_kills

_QUICK: dict[str, Any] = {"n_components": 8, "max_epochs": 10, "batch_size": 10, "sparsity": 0.5}
_SHEET: dict[str, Any] = {"sheet": (8, 6), "window": 4, "stride": 2}
KINDS = [TopographicPSD, TopographicSparseCoding]


@parametrize_with_checks([TopographicPSD(**_QUICK), TopographicSparseCoding(**_QUICK)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    images, _ = load_mnist_digits()
    return sample_patches(as_images(images[::10]), 1500, 8, random_state=0, min_std=0.1)


def subspace_sources(rng: np.random.Generator, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Samples in one of eight subspaces of 3 of 32 dimensions each, at any angle, so that no axis is its own."""
    spaces = np.linalg.qr(rng.standard_normal((32, 32)))[0][:, :24].T.reshape(8, 3, 32)
    inside = rng.standard_normal((n, 3))
    inside *= rng.uniform(2, 5, (n, 1)) / np.linalg.norm(inside, axis=1, keepdims=True)
    samples = np.einsum("ns,nsf->nf", inside, spaces[rng.integers(0, 8, n)])
    return (samples + 0.05 * rng.standard_normal((n, 32))).astype(np.float32), spaces


def same(one: Any, other: Any) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_without_overlap_find_independent_subspaces(kind: Any, rng: np.random.Generator) -> None:
    samples, spaces = subspace_sources(rng)
    learner = kind(
        24, sheet=24, window=3, stride=3, weights="box", sparsity=4.0, remove_mean=False, random_state=0
    ).partial_fit(samples[:200])  # fmt: skip
    assert learner.n_pools_ == 8

    def cosines() -> np.ndarray:
        """The cosine of the largest angle between each subspace and each pool of three units."""
        found = np.array([np.linalg.qr(pool.T)[0].T for pool in learner.components_.reshape(8, 3, 32)], np.float64)
        angles: np.ndarray = np.linalg.svd(np.einsum("asf,btf->abst", spaces, found), compute_uv=False)
        return angles.min(axis=2)

    # From random units, one that has settled in a subspace beside two of another stays: begin near the truth.
    near = spaces.reshape(24, 32) + 0.15 * rng.standard_normal((24, 32))
    learner.components_[:] = near / np.linalg.norm(near, axis=1, keepdims=True)
    assert np.diag(cosines()).max() < 0.9
    for _ in range(20):
        learner.partial_fit(samples)
    assert np.diag(cosines()).min() > 0.99
    # A pool's feature follows the length within its subspace, and hardly the angle.
    angles = np.linspace(0, 2 * np.pi, 40)
    turned = 4 * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ spaces[0, :2]
    units = learner.transform(turned.astype(np.float32), simple=True)
    features = learner.transform(turned.astype(np.float32))
    best = 0
    assert features.mean(axis=0).argmax() == best
    assert features[:, best].std() < 0.15 * features[:, best].mean()
    assert units[:, 3 * best : 3 * best + 3].std(axis=0).max() > np.abs(units[:, 3 * best : 3 * best + 3]).mean()


def test_neighbors_become_alike(digits: np.ndarray) -> None:
    learner = TopographicPSD(**_SHEET, sparsity=2.0, max_batches=400, random_state=0).fit(digits)
    units = learner.components_.reshape(8, 6, -1)
    beside = np.abs(np.einsum("rcf,rcf->rc", units, np.roll(units, 1, axis=1))).mean()
    apart = np.abs(np.einsum("rcf,rcf->rc", units, np.roll(units, (4, 3), axis=(0, 1)))).mean()
    assert beside > 2 * apart
    first, last = learner.history_[0], learner.history_[-1]
    assert last.energy < first.energy
    assert last.predicted_error < first.predicted_error
    assert learner.active_fraction_ < 0.9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_pools_of_the_units(kind: Any, dtype: Any, digits: np.ndarray) -> None:
    rows = digits[:300].astype(dtype)
    learner = kind(**_SHEET, max_batches=20, random_state=0).fit(rows)
    assert learner.sheet_ == Sheet((8, 6), 4, 2)
    features, units = learner.transform(rows), learner.transform(rows, simple=True)
    assert features.shape == (300, 12)
    assert units.shape == (300, 48)
    assert features.dtype == units.dtype == learner.infer(rows).dtype == dtype
    np.testing.assert_allclose(features, np.sqrt(np.square(units) @ learner.sheet_.matrix().T), rtol=1e-4, atol=1e-6)
    assert len(learner.get_feature_names_out()) == 12
    with pytest.raises(UsageError, match=r"features of 12 pools, .* transform\(X, simple=True\)"):
        learner.inverse_transform(features)


def test_the_code_that_is_inferred_is_the_optimum(digits: np.ndarray) -> None:
    rows = digits[:100].astype(np.float64)
    for kind in KINDS:
        learner = kind(**_SHEET, max_batches=20, random_state=0).fit(rows)
        terms: dict[str, Any] = {}
        if kind is TopographicPSD:
            terms = {"prediction": 1.0, "target": learner.transform(rows, simple=True)}
        arguments = learner.components_, learner.sheet_, 3.0
        certificate = certify_topographic(learner.scaled(rows), learner.infer(rows), *arguments, **terms)
        assert certificate.relative_gap.max() < 2e-6
        exact = learner.infer(rows, tolerance=1e-11)
        gradient = topographic_energy(learner.scaled(rows), exact, *arguments, **terms)[1]
        assert np.abs(gradient).max() < 1e-3


def test_the_history_is_the_energy(digits: np.ndarray) -> None:
    rows = digits[:800]
    learner = TopographicPSD(
        **_SHEET, max_batches=100, n_inference_steps=60, validation_fraction=0.9, random_state=0
    ).fit(rows)
    predicted, optimal = learner.transform(rows, simple=True), learner.infer(rows)
    energy, _ = topographic_energy(
        learner.scaled(rows), optimal, learner.components_, learner.sheet_, 3.0, prediction=1.0, target=predicted
    )
    assert energy.mean() == pytest.approx(learner.history_[-1].energy, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_killed_at_random_batches_ends_with_the_same_bits(
    kind: Any, digits: np.ndarray, rng: np.random.Generator, tmp_path: Path
) -> None:
    options: dict[str, Any] = {**_SHEET, "batch_size": 50, "max_batches": 130, "random_state": 3}
    whole = kind(**options).fit(digits)

    def learn(checkpoint: Checkpoint) -> Any:
        return kind(**options).fit(digits, checkpoint=checkpoint)

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 70)))
    assert resumes > 1
    assert same(whole, pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_goes_on_from_a_file_to_the_same_bits(kind: Any, digits: np.ndarray, tmp_path: Path) -> None:
    learner = kind(**_SHEET, batch_size=50, random_state=0).partial_fit(digits[:500])
    model_file.write(tmp_path / "learner.safetensors", *learner.to_state(training=True), kind="learner")
    loaded = kind.from_state(*model_file.read(tmp_path / "learner.safetensors", kind="learner"))
    assert loaded.get_params() == learner.get_params()
    np.testing.assert_array_equal(loaded.transform(digits), learner.transform(digits))
    assert same(loaded.partial_fit(digits[500:]), learner.partial_fit(digits[500:]))
    stream = kind(**_SHEET, max_batches=9, random_state=0).fit(iter([digits[:200]] * 20))
    assert stream.n_batches_ == 9


def test_the_encoder_may_be_another(digits: np.ndarray) -> None:
    learner = TopographicPSD(**_SHEET, encoder="smooth shrinkage", max_batches=30, random_state=0).fit(digits)
    assert learner.transform(digits).shape == (1500, 12)
    assert isinstance(learner, PSD)


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_drawn_as_they_lie(kind: Any, digits: np.ndarray) -> None:
    learner = kind(**_SHEET, max_batches=3, random_state=0).fit(digits)
    axes = learner.plot_components().axes[0]
    expected = filter_mosaic(learner.components_.reshape(-1, 1, 8, 8), columns=6, scale=1)
    np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert "<img" in learner._repr_html_()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sheet": (4, 4), "window": 6}, "window of 6 units is larger than the side of the sheet, 4"),
        ({"sheet": (9, 9), "window": 6, "stride": 2}, "stride of 2 does not divide the side of the torus, 9"),
        ({"n_components": 50, "sheet": (7, 7)}, "a sheet of 7×7 has 49 units, not 50"),
        ({"sheet": (8, 8), "window": 2, "stride": 4}, "leave units out"),
        ({"epsilon": 0}, "epsilon is 0"),
    ],
)
def test_bad_sheets_are_told_with_the_learners_name(
    kind: Any, options: dict[str, Any], message: str, digits: np.ndarray
) -> None:
    with pytest.raises(UsageError, match=rf"{kind.__name__}: .*{message}"):
        kind(**options).fit(digits)


def test_a_file_whose_units_do_not_fit_its_sheet(digits: np.ndarray) -> None:
    learner = TopographicPSD(**_SHEET, max_batches=3, random_state=0).fit(digits)
    arrays, header = learner.to_state()
    header["parameters"] = header["parameters"] | {"sheet": [6, 6]}
    with pytest.raises(model_file.ModelFileError, match="48 units, but the sheet of 6×6 has 36"):
        TopographicPSD.from_state(arrays, header)
