from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.coding import energy, fista, infer
from striate.encoders import make_encoder
from striate.errors import UsageError
from striate.images import as_images, load_mnist_digits, sample_patches
from striate.learning import PSD
from striate.progress import Progress
from tests.killing import learn_through_kills


@parametrize_with_checks([PSD(n_components=8, max_epochs=10, batch_size=10)])  # the defaults take 20 s
def test_scikit_learn_contract(estimator: PSD, check: Any) -> None:
    check(estimator)


def sparse_sources(
    rng: np.random.Generator, n_samples: int = 3000, n_components: int = 20, n_features: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Patches that a dictionary made: three units each, some noise."""
    dictionary = rng.standard_normal((n_components, n_features))
    dictionary -= dictionary.mean(axis=1, keepdims=True)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = np.zeros((n_samples, n_components))
    rows = np.arange(n_samples)[:, np.newaxis]
    codes[rows, rng.permuted(np.tile(np.arange(n_components), (n_samples, 1)), axis=1)[:, :3]] = rng.choice(
        [-1, 1], (n_samples, 3)
    ) * rng.uniform(2, 4, (n_samples, 3))
    patches = codes @ dictionary + 0.05 * rng.standard_normal((n_samples, n_features))
    return patches.astype(np.float32), dictionary


def same(one: PSD, other: PSD) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_finds_the_dictionary_that_made_the_data(rng: np.random.Generator) -> None:
    patches, truth = sparse_sources(rng)
    psd = PSD(n_components=24, sparsity=0.5, prediction=0.2, random_state=0).fit(patches)
    overlap = np.abs(truth @ psd.components_.T).max(axis=1)
    assert np.median(overlap) > 0.95
    np.testing.assert_allclose(np.linalg.norm(psd.components_, axis=1), 1, rtol=1e-5)
    assert psd.components_.dtype == psd.encoder_.dtype == np.float32


def test_energy_falls_and_prediction_approaches_the_optimal_code(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng)
    psd = PSD(n_components=24, max_batches=600, random_state=0).fit(patches)
    first, last = psd.history_[0], psd.history_[-1]
    assert (first.batch, last.batch, len(psd.history_)) == (100, 600, 6)
    assert last.energy < first.energy
    assert last.predicted_error < first.predicted_error
    assert 0.05 < psd.active_fraction_ < 0.5  # not collapsed onto the dense prediction
    np.testing.assert_array_equal(psd.energy_history_, [look.energy for look in psd.history_])

    # The history's energy is the energy of `objective`, at codes near the optimum.
    scaled = psd.scaled(patches)
    predicted = psd.transform(patches)
    optimal = psd.infer(patches)
    terms: dict[str, Any] = {"prediction": 1.0, "target": predicted}
    at_optimum = energy(scaled, optimal, psd.components_, 1.0, **terms).mean()
    assert at_optimum == pytest.approx(last.energy, rel=0.05)
    assert at_optimum < energy(scaled, predicted, psd.components_, 1.0, **terms).mean()


@pytest.mark.parametrize("remove_mean", [True, False])
def test_convolution_filters_take_raw_patches(rng: np.random.Generator, remove_mean: bool) -> None:
    patches = 40 * sparse_sources(rng, n_samples=300)[0].astype(np.float64) + 7
    psd = PSD(n_components=10, max_batches=50, remove_mean=remove_mean, random_state=0).fit(patches)
    filters, bias, gain, *_ = psd.convolution_filters()
    np.testing.assert_allclose(gain * np.tanh(patches @ filters.T + bias), psd.transform(patches), atol=1e-10)
    if remove_mean:
        np.testing.assert_allclose(psd.transform(patches + 100), psd.transform(patches), atol=1e-10)


def test_inverse_transform_gives_raw_patches_back(rng: np.random.Generator) -> None:
    patches = 40 * sparse_sources(rng)[0] + 7
    psd = PSD(n_components=24, sparsity=0.1, prediction=0.1, max_batches=600, random_state=0).fit(patches)
    centered = patches - patches.mean(axis=1, keepdims=True)
    error = psd.inverse_transform(psd.infer(patches)) - centered
    assert error.std() < 0.2 * centered.std()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out(rng: np.random.Generator, dtype: type) -> None:
    patches = sparse_sources(rng, n_samples=100)[0]
    psd = PSD(n_components=6, max_batches=5, random_state=0).fit(patches)
    for result in (psd.transform(patches.astype(dtype)), psd.infer(patches.astype(dtype))):
        assert result.dtype == dtype
        assert psd.inverse_transform(result).dtype == dtype
    np.testing.assert_array_equal(psd.fit_transform(patches), psd.transform(patches))


def test_more_rows_than_a_chunk_are_the_same_codes(rng: np.random.Generator) -> None:
    patches = sparse_sources(rng, n_samples=5000)[0]
    psd = PSD(n_components=6, max_batches=5, random_state=0).fit(patches)
    np.testing.assert_allclose(psd.transform(patches)[4900:], psd.transform(patches[4900:]), rtol=1e-5, atol=1e-6)


def test_a_fit_killed_at_random_batches_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    patches, _ = sparse_sources(rng, n_samples=1000)
    # More units than the data need, and a strong penalty: some die and are replaced on the way.
    options: dict[str, Any] = {"n_components": 40, "sparsity": 1.5, "batch_size": 50, "max_batches": 260}
    whole = PSD(**options, random_state=3).fit(patches)

    def learn(checkpoint: Checkpoint) -> PSD:
        return PSD(**options, random_state=3).fit(patches, checkpoint=checkpoint, checkpoint_name="stage-1")

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 70)))
    assert resumes > 3
    assert same(whole, pieces)
    # A finished fit is found again, and not repeated.
    progress = Progress()
    again = PSD(**options, random_state=3).fit(
        patches,
        checkpoint=Checkpoint(tmp_path / "run", {"seed": 3}),
        checkpoint_name="stage-1",
        progress=progress,
        phase_name="filters of stage 1",
    )
    assert same(whole, again)
    assert [record[:1] + record[2:4] for record in progress.records] == [("filters of stage 1", 260, "batches")]


def test_state_survives_a_file_and_learning_goes_on_to_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    patches, _ = sparse_sources(rng, n_samples=1000)
    psd = PSD(n_components=12, batch_size=50, random_state=0).partial_fit(patches)
    model_file.write(tmp_path / "psd.safetensors", *psd.to_state(training=True), kind="psd")
    loaded = PSD.from_state(*model_file.read(tmp_path / "psd.safetensors", kind="psd"))
    np.testing.assert_array_equal(loaded.transform(patches), psd.transform(patches))
    assert loaded.get_params() == psd.get_params()
    assert same(loaded.partial_fit(patches), psd.partial_fit(patches))
    assert psd.n_batches_ == 40

    light = PSD.from_state(*psd.to_state())
    np.testing.assert_array_equal(light.infer(patches), psd.infer(patches))
    light.partial_fit(patches)  # the optimizer starts anew


def test_partial_fit_learns_what_fit_learns(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng)
    streamed = PSD(n_components=24, random_state=0)
    for _ in range(20):
        streamed.partial_fit(rng.permutation(patches))
    fitted = PSD(n_components=24, max_batches=300, random_state=0).fit(patches)
    look, other = (psd._evaluate(psd.scaled(patches)) for psd in (streamed, fitted))
    assert look.energy == pytest.approx(other.energy, rel=0.02)


def test_a_stream_teaches_what_its_batches_teach(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng, n_samples=1000)
    streamed = PSD(n_components=12, random_state=0).fit(patches[n : n + 200] for n in range(0, 1000, 200))
    by_hand = PSD(n_components=12, random_state=0)
    for n in range(0, 1000, 200):
        by_hand.partial_fit(patches[n : n + 200])
    assert same(streamed, by_hand)


def test_dead_units_are_given_badly_reconstructed_patches(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng, n_samples=400)
    psd = PSD(n_components=12, random_state=0).partial_fit(patches)
    psd.usage_[:] = 0.2
    psd.usage_[[2, 5]] = 0
    kept = psd.components_.copy()
    scaled = psd.scaled(patches)
    psd._replace_dead_units(scaled)
    changed = np.flatnonzero((psd.components_ != kept).any(axis=1))
    np.testing.assert_array_equal(changed, [2, 5])
    similarity = scaled @ psd.components_[changed].T / np.linalg.norm(scaled, axis=1, keepdims=True)
    np.testing.assert_allclose(similarity.max(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(psd.encoder_[changed], 0.1 * psd.components_[changed], rtol=1e-5)


def test_learning_stops_when_the_energy_does(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng, n_samples=2000)
    psd = PSD(n_components=4, max_batches=100_000, max_epochs=100_000, tolerance=0.05, random_state=0).fit(patches)
    assert 1000 < psd.n_batches_ < 5000


def test_small_data_get_a_small_budget(rng: np.random.Generator) -> None:
    patches = sparse_sources(rng, n_samples=30)[0]
    psd = PSD(n_components=8, random_state=0).fit(patches)
    assert psd.n_batches_ == 100
    assert psd.history_ == []  # none can be spared to be held out


@pytest.mark.parametrize("patches", [np.zeros((60, 9)), np.ones((60, 9), dtype=np.float32), np.ones((1, 4))])
def test_patches_without_structure_do_no_harm(patches: np.ndarray) -> None:
    psd = PSD(n_components=5, max_batches=5, random_state=0).fit(patches)
    assert np.isfinite(psd.components_).all()
    np.testing.assert_array_equal(psd.infer(patches), 0)


def test_the_same_seed_gives_the_same_bits(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng, n_samples=500)

    def fitted(seed: Any) -> PSD:
        return PSD(n_components=8, max_batches=20, random_state=seed).fit(patches)

    assert same(fitted(5), fitted(5))
    assert same(fitted(np.random.default_rng(5)), fitted(np.random.default_rng(5)))
    assert not np.array_equal(fitted(5).components_, fitted(6).components_)


def test_sits_in_a_pipeline_under_grid_search(rng: np.random.Generator) -> None:
    patches, truth = sparse_sources(rng, n_samples=300)
    labels = (patches @ truth[0] > 0).astype(int)
    pipeline = make_pipeline(PSD(n_components=8, max_batches=20, random_state=0), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"psd__sparsity": [0.2, 1.0]}, cv=2).fit(patches, labels)
    assert search.best_score_ > 0.7
    assert list(pipeline[:1].fit(patches).get_feature_names_out()[:2]) == ["psd0", "psd1"]


@pytest.mark.parametrize(
    "option", [{"n_components": 0}, {"batch_size": 0}, {"max_batches": 0}, {"sparsity": -1.0}, {"prediction": -0.5}]
)
def test_impossible_options_are_refused_by_name(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(UsageError, match=name):
        PSD(**option).fit(np.ones((10, 4)))


@pytest.mark.parametrize("encoder", ["linear", "shrinkage", "smooth shrinkage", "lista", "lcod"])
def test_other_encoders_learn_beside_the_dictionary(rng: np.random.Generator, encoder: str) -> None:
    patches, truth = sparse_sources(rng)
    psd = PSD(n_components=24, sparsity=0.5, prediction=0.2, encoder=encoder, max_batches=400, random_state=0)
    psd.fit(patches)
    assert psd.history_[-1].predicted_error < psd.history_[0].predicted_error
    assert np.median(np.abs(truth @ psd.components_.T).max(axis=1)) > 0.9
    np.testing.assert_allclose(psd.transform(patches), psd.predictor_.encode(psd.scaled(patches)), atol=1e-6)
    assert psd.encoder_.shape == psd.components_.shape
    if encoder in ("shrinkage", "lista"):
        assert 0.2 < np.mean(psd.transform(patches) == 0) < 0.99
    if "shrinkage" in encoder:
        filters, bias, gain, threshold, beta = psd.convolution_filters()
        products = patches @ filters.T
        own = [np.eye(24), *(array for array in (beta, threshold) if array is not None)]
        shrunk = make_encoder(encoder).from_arrays(*own).encode(products)
        np.testing.assert_allclose(psd.transform(patches), shrunk, atol=1e-6)
        assert not bias.any()
        assert (gain == 1).all()
    else:
        with pytest.raises(UsageError, match="tanh"):
            psd.convolution_filters()
    again = PSD.from_state(*psd.to_state())
    np.testing.assert_array_equal(again.transform(patches), psd.transform(patches))
    assert again.transform(patches.astype(float)).dtype == float
    copied = pickle.loads(pickle.dumps(psd))
    np.testing.assert_array_equal(copied.partial_fit(patches[:400]).transform(patches).shape, (len(patches), 24))


def test_a_killed_fit_of_another_encoder_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    patches, _ = sparse_sources(rng, n_samples=1000)
    # Some units die and begin again.
    options: dict[str, Any] = {
        "n_components": 40, "sparsity": 1.5, "batch_size": 50, "max_batches": 260, "encoder": "lista"
    }  # fmt: skip
    whole = PSD(**options, random_state=3).fit(patches)

    def learn(checkpoint: Checkpoint) -> PSD:
        return PSD(**options, random_state=3).fit(patches, checkpoint=checkpoint, checkpoint_name="stage-1")

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 90)))
    assert resumes > 1
    assert same(whole, pieces)


@pytest.mark.parametrize("predict_in_inference", [True, False])
def test_the_energy_never_rises_over_inference(predict_in_inference: bool) -> None:
    digits, _ = load_mnist_digits()
    patches = sample_patches(as_images(digits[::50]), 1000, 8, random_state=0, min_std=0.1)
    psd = PSD(32, sparsity=0.5, max_batches=100, predict_in_inference=predict_in_inference, random_state=0).fit(patches)
    rows = psd.scaled(patches).astype(np.float64)
    units = psd.components_.astype(np.float64)
    predicted = psd.transform(patches).astype(np.float64)
    weight = psd.prediction if predict_in_inference else 0.0
    energies = []
    for steps in range(psd.n_inference_steps + 1):  # what `fit` takes, and every beginning of it
        codes = fista(rows, units, psd.sparsity, steps=steps, start=predicted, prediction=weight, target=predicted)
        energies.append(energy(rows, codes, units, psd.sparsity, prediction=weight, target=predicted).mean())
    assert (np.diff(energies) <= 1e-12 * energies[0]).all()
    assert energies[-1] < energies[0]


def test_inference_without_the_prediction_is_sparse_coding(rng: np.random.Generator) -> None:
    patches, _ = sparse_sources(rng, n_samples=500)
    psd = PSD(n_components=24, predict_in_inference=False, max_batches=100, random_state=0).fit(patches)
    np.testing.assert_allclose(psd.infer(patches), infer(psd.scaled(patches), psd.components_, 1.0), atol=1e-5)
    assert psd.history_[-1].predicted_error < psd.history_[-1].energy


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(UsageError, match="encoder is 'sigmoid'"):
        PSD(encoder="sigmoid").fit(np.ones((10, 4)))
