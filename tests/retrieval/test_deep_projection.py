from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.learning import DeepAutoencoder
from striate.retrieval import unpack_bits
from striate.retrieval.deep_projection import DeepProjection, fit_deep_projection
from tests.retrieval.small import encoder


@pytest.fixture
def vectors(rng: np.random.Generator) -> np.ndarray:
    """Eight clusters."""
    centers = rng.standard_normal((8, 20))
    return (centers[np.arange(200) % 8] + 0.1 * rng.standard_normal((200, 20))).astype(np.float32)


def test_bits_are_those_of_the_autoencoder(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[DeepAutoencoder] = []
    fit = DeepAutoencoder.fit

    def watched(self: DeepAutoencoder, *given: Any, **options: Any) -> DeepAutoencoder:
        learned.append(self)
        return fit(self, *given, **options)

    monkeypatch.setattr(DeepAutoencoder, "fit", watched)
    projection = fit_deep_projection(vectors, 16, random_state=0)
    clear = np.abs(projection.project(vectors)) > 1e-4
    bits = unpack_bits(projection.codes(vectors), 16)
    np.testing.assert_array_equal(bits[clear], learned[0].transform(vectors)[clear] > 0.5)


def test_vectors_of_a_cluster_have_nearby_codes(vectors: np.ndarray) -> None:
    bits = unpack_bits(fit_deep_projection(vectors, 32, random_state=0).codes(vectors), 32)
    distances = (bits[:, np.newaxis] != bits).mean(axis=2)
    alike = np.equal.outer(np.arange(200) % 8, np.arange(200) % 8)
    assert distances[alike].mean() < 0.1
    assert distances[~alike].mean() > 0.3


def test_a_vector_has_the_same_code_alone_and_from_a_file(vectors: np.ndarray) -> None:
    projection = fit_deep_projection(vectors, 16, random_state=0)
    whole = projection.project(vectors)
    np.testing.assert_array_equal(whole[7:8], projection.project(vectors[7:8]))
    again = DeepProjection.from_state(*projection.to_state())
    np.testing.assert_array_equal(again.project(vectors), whole)
    assert again.n_bits == 16


def test_an_encoder_with_deep_codes_comes_back(rng: np.random.Generator) -> None:
    linear = encoder()
    images = rng.random((20, 1, 28, 28), dtype=np.float32)
    one = type(linear)(
        linear.preprocessing, linear.describe, fit_deep_projection(linear.vectors(images), 16, random_state=0)
    )
    again = type(linear).from_state(*one.to_state())
    np.testing.assert_array_equal(again.encode(images), one.encode(images))
