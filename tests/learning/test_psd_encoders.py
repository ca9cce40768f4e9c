"""PSD takes any encoder as an object: its options are parameters, and nothing in PSD knows which encoder it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from striate import model_file
from striate.coding import PreparedDictionary
from striate.encoders import ENCODERS, LISTA, Encoder, LCoD, TanhEncoder, make_encoder
from striate.errors import UsageError
from striate.learning import PSD
from striate.parameters import Real, Rule


class GainEncoder(Encoder):
    """A toy: correlations with filters that stay, times one learned gain per unit."""

    kind: ClassVar[str] = "gain"
    names: ClassVar[tuple[str, ...]] = ("filters", "gain")
    _rules: ClassVar[Mapping[str, Rule]] = {"first": Real()}

    gain: NDArray[Any]

    def __init__(self, first: float = 0.5) -> None:
        self.first = first

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        units = np.asarray(components)
        return self.set_arrays(filters=units.copy(), gain=np.full(len(units), self.first, units.dtype))

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        np.matmul(signals, self.filters.T, out=codes)
        codes *= self.gain

    def gradients(self, signals: NDArray[Any], known: Any, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        driven = signals @ self.filters.T
        return {"gain": ((driven * self.gain - codes) * driven).mean(axis=0)}


def patches_of(rng: np.random.Generator, n: int = 400) -> NDArray[np.float32]:
    return rng.laplace(size=(n, 16)).astype(np.float32)


def short(**options: Any) -> PSD:
    return PSD(**{"n_components": 12, "max_batches": 30, "batch_size": 50, "random_state": 0} | options)


def test_a_new_encoder_is_one_class_and_one_word(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = patches_of(rng)
    given = GainEncoder(first=0.25)
    psd = short(encoder=given, encoder_rate=0.01).fit(patches)
    assert psd.encoder is given
    assert "filters" not in vars(given)
    assert np.all(psd.predictor_.arrays()["gain"] != 0.25)
    np.testing.assert_array_equal(psd.transform(patches), psd.predictor_.encode(psd.scaled(patches)))
    psd.partial_fit(patches)

    monkeypatch.setitem(ENCODERS, "gain", f"{__name__}.GainEncoder")
    by_word = short(encoder="gain").fit(patches)
    np.testing.assert_array_equal(
        by_word.transform(patches), short(encoder=GainEncoder()).fit(patches).transform(patches)
    )
    again = PSD.from_state(*psd.to_state())
    assert isinstance(again.encoder, GainEncoder)
    assert again.encoder.first == 0.25
    np.testing.assert_array_equal(again.transform(patches), psd.transform(patches))


@pytest.mark.parametrize("word", ["tanh", "shrinkage", "lista"])
def test_a_word_is_the_object_with_its_defaults(rng: np.random.Generator, word: str) -> None:
    if word != "tanh":
        pytest.importorskip("torch")
    patches = patches_of(rng)
    given = make_encoder(word)
    np.testing.assert_array_equal(
        short(encoder=word).fit(patches).transform(patches), short(encoder=given).fit(patches).transform(patches)
    )
    assert "filters" not in vars(given)


def test_options_of_an_encoder_are_cloned_and_searched(rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    patches = patches_of(rng, 120)
    psd = short(encoder=LISTA(steps=2), max_batches=3)
    assert psd.get_params()["encoder__steps"] == 2
    copied = clone(psd).set_params(encoder__steps=5)
    assert (copied.get_params()["encoder__steps"], psd.get_params()["encoder__steps"]) == (5, 2)
    assert copied.fit(patches).predictor_.get_params()["steps"] == 5
    pipeline = make_pipeline(psd, KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"psd__encoder__steps": [1, 3]}, cv=2).fit(patches, patches[:, 0] > 0)
    assert search.best_params_["psd__encoder__steps"] in (1, 3)
    with pytest.raises(UsageError, match="LISTA: steps is 0"):
        short(encoder=LISTA(steps=0)).fit(patches)


def test_units_of_untied_steps_die_and_start_again(rng: np.random.Generator) -> None:
    pytest.importorskip("torch")
    patches = patches_of(rng)
    psd = short(encoder=LISTA(steps=3, untied=True)).fit(patches)
    assert psd.encoder_.shape == (3, 12, 16)
    psd.usage_[[1, 4]] = 0
    psd._replace_dead_units(psd.scaled(patches))
    fresh = LISTA(steps=3, untied=True).start(psd.components_, psd.sparsity)
    found = psd._learning.encoder()
    for name in ("filters", "thresholds", "inhibition"):
        np.testing.assert_allclose(found.arrays()[name][:, [1, 4]], fresh.arrays()[name][:, [1, 4]], rtol=1e-6)
    np.testing.assert_array_equal(found.arrays()["inhibition"][:, :, [1, 4]], fresh.inhibition[:, :, [1, 4]])


def test_files_keep_the_options(rng: np.random.Generator, tmp_path: Any) -> None:
    pytest.importorskip("torch")
    patches = patches_of(rng)
    psd = short(encoder=LCoD(steps=5, final_shrinkage=False), max_batches=3).fit(patches)
    model_file.write(tmp_path / "psd.safetensors", *psd.to_state(), kind="psd")
    again = PSD.from_state(*model_file.read(tmp_path / "psd.safetensors", kind="psd"))
    options = again.get_params()
    assert (options["encoder__steps"], options["encoder__final_shrinkage"]) == (5, False)
    np.testing.assert_array_equal(again.transform(patches), psd.transform(patches))


def test_files_of_earlier_versions_are_read(rng: np.random.Generator) -> None:
    patches = patches_of(rng)
    psd = short().fit(patches)
    arrays, header = psd.to_state()
    # How a tanh encoder was stored, and how the steps of others were.
    for now, before in (("encoder.filters", "encoder"), ("encoder.bias", "encoder_bias"), ("encoder.gain", "gain")):
        arrays[before] = arrays.pop(now)
    header["parameters"]["encoder_steps"] = 3
    again = PSD.from_state(arrays, header)
    assert again.encoder == "tanh"
    np.testing.assert_array_equal(again.transform(patches), psd.transform(patches))

    pytest.importorskip("torch")
    other = short(encoder=LISTA(steps=4), max_batches=3).fit(patches)
    arrays, header = other.to_state()
    header["parameters"] |= {"encoder": "lista", "encoder_steps": 4}
    np.testing.assert_array_equal(PSD.from_state(arrays, header).transform(patches), other.transform(patches))


def test_encoders_say_what_they_lack(rng: np.random.Generator) -> None:
    with pytest.raises(UsageError, match="start it from a dictionary"):
        LISTA(steps=2).encode(np.ones((2, 3)))
    encoder = LISTA(steps=2).start(np.eye(3), 1.0)
    with pytest.raises(UsageError, match="start it from a dictionary"):
        encoder.set_params(steps=3).encode(np.ones(3))
    with pytest.raises(UsageError, match="filters, bias, gain"):
        TanhEncoder().set_arrays(filters=np.eye(3))
    with pytest.raises(UsageError, match="beside a dictionary"):
        GainEncoder().fit(np.eye(3), np.eye(3))
    pytest.importorskip("torch")
    from striate.encoders._torch import Twin

    with pytest.raises(UsageError, match="none of them"):
        Twin(GainEncoder().start(np.eye(3), 1.0))
