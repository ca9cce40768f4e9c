from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning import DeepAutoencoder
from striate.learning.online import Start
from striate.progress import Progress
from tests.killing import Kill, Killing, learn_through_kills


@parametrize_with_checks([DeepAutoencoder((6, 3), n_epochs=4, batch_size=20)])
def test_scikit_learn_contract(estimator: DeepAutoencoder, check: Any) -> None:
    check(estimator)


def same(one: DeepAutoencoder, other: DeepAutoencoder) -> bool:
    """Bit for bit, what learning would go on with included."""
    arrays, header = one.to_state(training=True)
    other_arrays, other_header = other.to_state(training=True)
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def begin(learner: DeepAutoencoder, rows: np.ndarray) -> None:
    """All of a fit before its first batch."""
    samples = learner._samples(rows, reset=True)
    learner._start(Start(samples, None, learner._new_seed(), Progress()))


def test_the_way_back_begins_as_the_transpose(rng: np.random.Generator) -> None:
    learner = DeepAutoencoder((5, 4, 2), random_state=0)
    begin(learner, rng.random((10, 6)))
    for number, weights in enumerate(learner.weights_[:3]):
        np.testing.assert_array_equal(learner.weights_[5 - number], weights.T)
    assert [len(weights) for weights in learner.weights_] == [5, 4, 2, 4, 5, 6]
    assert not np.shares_memory(learner.weights_[0], learner.weights_[5])


def test_one_linear_layer_is_pca(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 8)) + 0.3 * rng.standard_normal((400, 8)) + 2
    learner = DeepAutoencoder(
        (3,), visible="gaussian", n_epochs=300, batch_size=100, learning_rate=0.01, random_state=0
    )
    learner.fit(rows)
    pca = PCA(3).fit(rows)
    least = np.square(rows - pca.inverse_transform(pca.transform(rows))).sum(axis=1).mean()
    assert least <= -learner.score(rows) < 1.01 * least


def test_layers_of_rbms_are_unrolled(rng: np.random.Generator) -> None:
    prototypes = (rng.random((4, 12)) > 0.5).astype(np.float32)
    rows = prototypes[rng.integers(4, size=20_000)]
    learner = DeepAutoencoder((8, 3), pretraining="rbm", random_state=0)
    begin(learner, rows)
    assert learner.activation_ == "logistic"
    for number, weights in enumerate(learner.weights_[:2]):
        np.testing.assert_array_equal(learner.weights_[3 - number], weights.T)
    assert -learner.score(rows) < 0.01  # four prototypes fit into two bits


def test_layers_of_psd_begin_better_than_chance(rng: np.random.Generator) -> None:
    rows = (rng.standard_normal((500, 4)) @ rng.standard_normal((4, 12))).astype(np.float32)
    begun = {
        pretraining: DeepAutoencoder((8, 4), pretraining=pretraining, activation="tanh", random_state=0)
        for pretraining in (None, "psd")
    }
    for learner in begun.values():
        begin(learner, rows)
        assert all(weights.dtype == np.float32 for weights in learner.weights_)
    assert begun["psd"].score(rows) > begun[None].score(rows)


def test_binary_codes_are_zeros_and_ones_and_tell_the_data(rng: np.random.Generator) -> None:
    prototypes = (rng.random((8, 20)) > 0.5).astype(np.float32)
    rows = prototypes[rng.integers(8, size=600)]
    learner = DeepAutoencoder((30, 6), code="binary", n_epochs=30, batch_size=50, learning_rate=1e-2, random_state=0)
    codes = learner.fit(rows).transform(rows)
    assert set(np.unique(codes)) == {0.0, 1.0}
    assert -learner.score(rows) < 0.2 * np.square(rows - rows.mean(axis=0)).sum(axis=1).mean()


def test_a_fit_killed_at_random_batches_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((300, 10)).astype(np.float32)
    options: dict[str, Any] = {
        "layers": (8, 3), "code": "binary", "n_epochs": 8, "batch_size": 30, "input_noise": 0.2, "weight_decay": 0.01,
        "validation_fraction": 0.1, "random_state": 3,
    }  # fmt: skip
    whole = DeepAutoencoder(**options).fit(rows)

    def learn(checkpoint: Checkpoint) -> DeepAutoencoder:
        return DeepAutoencoder(**options).fit(rows, checkpoint=checkpoint)

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(0, 30)))
    assert resumes > 1
    assert same(whole, pieces)
    assert len(whole.history_) == 8


@pytest.mark.parametrize("pretraining", ["rbm", "psd"])
def test_a_fit_killed_after_pretraining_does_not_repeat_it(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretraining: str
) -> None:
    rows = rng.random((60, 10)).astype(np.float32)
    options: dict[str, Any] = {
        "layers": (8, 3), "pretraining": pretraining, "n_epochs": 2, "batch_size": 30, "random_state": 3
    }  # fmt: skip
    whole = DeepAutoencoder(**options).fit(rows)
    checkpoint = Killing(tmp_path / "run", {"seed": 3})
    checkpoint.saves_left = 1
    with pytest.raises(Kill):
        DeepAutoencoder(**options).fit(rows, checkpoint=checkpoint)
    monkeypatch.setattr(f"striate.learning.deep_autoencoder.pretrain_by_{pretraining}", None)
    pieces = DeepAutoencoder(**options).fit(rows, checkpoint=Checkpoint(tmp_path / "run", {"seed": 3}))
    assert same(whole, pieces)


def test_state_survives_a_file_and_learning_goes_on_to_the_same_bits(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((100, 10)).astype(np.float32)
    learner = DeepAutoencoder((8, 3), batch_size=30, random_state=0).partial_fit(rows)
    model_file.write(tmp_path / "a.safetensors", *learner.to_state(training=True), kind="deep-autoencoder")
    loaded = DeepAutoencoder.from_state(*model_file.read(tmp_path / "a.safetensors", kind="deep-autoencoder"))
    np.testing.assert_array_equal(loaded.transform(rows), learner.transform(rows))
    assert loaded.get_params() == learner.get_params()
    assert same(loaded.partial_fit(rows), learner.partial_fit(rows))
    light = DeepAutoencoder.from_state(*learner.to_state())
    np.testing.assert_array_equal(light.transform(rows), learner.transform(rows))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(learner)).transform(rows), learner.transform(rows))


def test_a_memory_map_teaches_the_same(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((120, 10)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    options: dict[str, Any] = {"layers": (8, 3), "n_epochs": 2, "batch_size": 30, "random_state": 0}
    assert same(DeepAutoencoder(**options).fit(rows), DeepAutoencoder(**options).fit(mapped))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out(rng: np.random.Generator, dtype: type) -> None:
    rows = rng.random((60, 10)).astype(np.float32)
    for visible in ("binary", "gaussian", "softmax"):
        learner = DeepAutoencoder((8, 3), visible=visible, n_epochs=1, random_state=0).fit(rows)
        codes = learner.transform(rows.astype(dtype))
        assert codes.dtype == learner.inverse_transform(codes).dtype == dtype
        assert learner.get_feature_names_out()[-1] == "deepautoencoder2"


def test_learning_stops_early(rng: np.random.Generator) -> None:
    rows = rng.random((60, 10))  # noise: what is learned of it does not help with more of it
    learner = DeepAutoencoder(
        (50, 9), n_epochs=200, batch_size=10, learning_rate=0.01, validation_fraction=0.2, patience=2, random_state=0
    ).fit(rows)
    assert len(learner.history_) < 200


def test_words_become_probabilities_and_an_empty_text_is_taken(rng: np.random.Generator) -> None:
    counts = rng.poisson(1.0, (50, 12)).astype(np.float64)
    counts[3] = 0
    learner = DeepAutoencoder((8, 3), visible="softmax", n_epochs=2, random_state=0).fit(counts)
    given_back = learner.inverse_transform(learner.transform(counts))
    np.testing.assert_allclose(given_back.sum(axis=1), 1)
    np.testing.assert_allclose(learner.transform(3 * counts), learner.transform(counts))


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({"layers": ()}, np.ones((10, 4)), "layers is .* one or more integers, each at least 1"),
        ({"layers": (3, 0)}, np.ones((10, 4)), "layers is .* one or more integers, each at least 1"),
        ({"code": "sparse"}, np.ones((10, 4)), "code is 'sparse'"),
        ({"pretraining": "pca"}, np.ones((10, 4)), "pretraining is 'pca'"),
        ({"n_epochs": 0}, np.ones((10, 4)), "n_epochs is 0"),
        ({"visible": "binary"}, 2 * np.ones((10, 4)), r"data in \[0, 1\]"),
        ({"visible": "softmax"}, -np.ones((10, 4)), "counts"),
    ],
)
def test_wrong_use_is_told(options: dict[str, Any], rows: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DeepAutoencoder(**options).fit(rows)


def test_broken_data_are_told(rng: np.random.Generator, tmp_path: Path) -> None:
    rows = rng.random((40, 4))
    learner = DeepAutoencoder((3, 2), n_epochs=1, random_state=0).fit(rows)
    with pytest.raises(ValueError, match="4 features"):
        learner.transform(rows[:, :3])
    rows[7, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        learner.fit(rows)
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(UsageError, match="NaN"):
        DeepAutoencoder((3, 2), visible="gaussian").fit(np.load(tmp_path / "rows.npy", mmap_mode="r"))
