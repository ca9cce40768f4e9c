from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA

from striate.errors import UsageError
from striate.retrieval import Projection, fit_projection, unpack_bits
from striate.retrieval.projection import Method, iterative_quantization, principal_components


@pytest.fixture
def vectors(rng: np.random.Generator) -> np.ndarray:
    """Three clusters, of decreasing variance along random axes, away from the origin."""
    centers = 2 * rng.standard_normal((3, 20))
    values = centers[rng.integers(0, 3, 400)] + rng.standard_normal((400, 20)) * np.geomspace(2, 0.1, 20)
    return (values @ np.linalg.qr(rng.standard_normal((20, 20)))[0] + 5).astype(np.float32)


@pytest.mark.parametrize("n_samples", [400, 15])  # by features, and by samples
def test_components_are_those_of_scikit_learn(n_samples: int, vectors: np.ndarray) -> None:
    some = vectors[:n_samples]
    found = principal_components(some, 6)
    expected = PCA(6).fit(some).components_
    np.testing.assert_allclose(np.abs(found @ expected.T), np.eye(6), atol=2e-3)
    np.testing.assert_allclose(found @ found.T, np.eye(6), atol=1e-4)


def test_quantization_never_raises_its_loss_and_stays_a_rotation(vectors: np.ndarray) -> None:
    projected = (vectors - vectors.mean(axis=0)) @ principal_components(vectors, 8).T
    losses: list[float] = []
    rotation = iterative_quantization(projected, random_state=0, losses=losses)
    assert len(losses) == 51
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(losses))
    assert losses[-1] < 0.98 * losses[0]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(8), atol=1e-10)


def test_quantization_finds_the_corners_of_a_turned_cube(rng: np.random.Generator) -> None:
    corners = np.where(rng.random((500, 4)) > 0.5, 1.0, -1.0)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    best = np.inf
    for seed in range(10):  # some starts end in a local minimum
        losses: list[float] = []
        iterative_quantization(corners @ turn, random_state=seed, losses=losses)
        best = min(best, losses[-1])
    assert best < 1e-12


@pytest.mark.parametrize("method", ["itq", "pca", "lsh"])
def test_bits_are_the_signs_of_what_is_projected(method: Method, vectors: np.ndarray) -> None:
    projection = fit_projection(vectors, 12, method=method, random_state=0)
    expected = (vectors.astype(float) - projection.mean) @ projection.directions.T.astype(float)
    np.testing.assert_allclose(projection.project(vectors), expected, atol=1e-4)
    clear = np.abs(expected) > 1e-4
    np.testing.assert_array_equal(unpack_bits(projection.codes(vectors), 12)[clear], (expected > 0)[clear])
    again = fit_projection(vectors, 12, method=method, random_state=0)
    np.testing.assert_array_equal(projection.directions, again.directions)


def test_hyperplanes_tell_angles(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((40, 10))
    vectors = np.concatenate([vectors, -vectors])  # their mean is zero
    projection = fit_projection(vectors, 4096, method="lsh", random_state=0)
    bits = unpack_bits(projection.codes(vectors[:2]), 4096)
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert np.mean(bits[0] != bits[1]) == pytest.approx(np.arccos(cosine) / np.pi, abs=0.03)


@pytest.mark.parametrize("method", ["itq", "pca"])
def test_there_may_be_more_bits_than_directions(method: Method, vectors: np.ndarray) -> None:
    projection = fit_projection(vectors[:9], 64, method=method, random_state=0)
    assert projection.directions.shape == (64, 20)
    assert np.isfinite(projection.directions).all()


def test_a_code_does_not_depend_on_the_others(vectors: np.ndarray) -> None:
    projection = fit_projection(vectors, 32, random_state=0)
    whole = projection.project(vectors)
    for start, stop in ((0, 1), (5, 22), (399, 400)):
        np.testing.assert_array_equal(projection.project(vectors[start:stop]), whole[start:stop])


def test_a_projection_comes_back(vectors: np.ndarray) -> None:
    projection = fit_projection(vectors, 8, random_state=0)
    again = Projection.from_state(*projection.to_state())
    np.testing.assert_array_equal(again.codes(vectors), projection.codes(vectors))


@pytest.mark.parametrize(
    ("wrong", "options", "words"),
    [
        (np.zeros((1, 3)), {}, "at least 2"),
        (np.full((4, 3), np.nan), {}, "NaN"),
        (np.zeros((4, 3)), {"method": "magic"}, "magic"),
        (np.zeros((4, 3)), {"n_bits": 5000}, "5000"),
    ],
)
def test_what_cannot_be_learned_from(wrong: np.ndarray, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit_projection(wrong, **{"n_bits": 8, **options})  # type: ignore[arg-type]


def test_constant_vectors_have_codes() -> None:
    projection = fit_projection(np.ones((5, 3), np.float32), 16, random_state=0)
    assert projection.codes(np.ones((2, 3), np.float32)).tolist() == [[0], [0]]
