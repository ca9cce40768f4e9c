"""Sparse codes over a pyramid: a layer's optimality, its pooling against loops, and how its dictionary is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import Hierarchy, PyramidPooling, SparseCodes, learn_filters
from striate.images import load_mnist_digits
from striate.learning import PSD

NOTATION = "SIFT8x8/4 - 20SC0.2 - PM1+2+4"
MACRO = "SIFT8x8/4 - MF2x2/1 - 20SC0.2 - PM1+2+4"


@pytest.fixture
def images() -> np.ndarray:
    return np.asarray(load_mnist_digits()[0][::100], np.float32)


@pytest.fixture
def dictionary(rng: np.random.Generator) -> np.ndarray:
    units = rng.standard_normal((20, 9), dtype=np.float32)
    return np.asarray(units / np.linalg.norm(units, axis=1, keepdims=True))


def test_codes_are_optimal_at_every_position(rng: np.random.Generator, dictionary: np.ndarray) -> None:
    maps = rng.standard_normal((3, 4, 9), dtype=np.float32)
    codes = SparseCodes(20, 0.5, dictionary).apply(maps).astype(np.float64)
    assert codes.shape == (3, 4, 20)
    assert codes.min() == 0
    for position in np.ndindex(3, 4):
        # The signs are lost to the absolute value; those of the correlations with the residual bring them back.
        support = np.flatnonzero(codes[position])
        units, y = dictionary[support].astype(np.float64), maps[position].astype(np.float64)
        signs = min(
            np.array(np.meshgrid(*[[-1, 1]] * len(support))).reshape(len(support), -1).T,
            key=lambda s: 0.5 * np.sum((y - (s * codes[position][support]) @ units) ** 2),
        )
        residual = y - (signs * codes[position][support]) @ units
        correlations = dictionary.astype(np.float64) @ residual
        np.testing.assert_allclose(correlations[support], 0.5 * signs, atol=2e-2)
        assert np.abs(correlations).max() < 0.5 + 2e-2


def test_pooling_is_the_largest_of_each_cell(rng: np.random.Generator) -> None:
    maps = rng.random((7, 10, 3), dtype=np.float32)
    expected = []
    for n in (1, 2, 4):
        for i in range(n):
            for j in range(n):
                inside = [maps[y, x] for y in range(7) for x in range(10) if (y * n // 7, x * n // 10) == (i, j)]
                expected.append(np.max(inside, axis=0))
    whole = np.concatenate(expected)
    found = PyramidPooling().apply(maps)
    assert found.shape == (1, 1, 63)
    np.testing.assert_allclose(found.ravel(), whole / np.linalg.norm(whole), rtol=1e-6)
    assert not PyramidPooling().apply(np.zeros((4, 4, 2), np.float32)).any()


@pytest.mark.parametrize("notation", [NOTATION, MACRO])
def test_a_hierarchy_of_them_is_learned_runs_and_is_kept(images: np.ndarray, notation: str) -> None:
    hierarchy, (stage,) = learn_filters(Hierarchy(notation), images, learners=PSD(), n_patches=500, random_state=0)
    assert str(hierarchy) == notation
    features = hierarchy.transform(images)
    assert features.shape == (len(images), 21 * 20, 1, 1)
    np.testing.assert_allclose(np.linalg.norm(features.reshape(len(images), -1), axis=1), 1, rtol=1e-5)
    again = Hierarchy.from_state(*hierarchy.to_state())
    np.testing.assert_array_equal(again.transform(images), features)
    assert isinstance(stage.bank, SparseCodes)
    np.testing.assert_array_equal(stage.bank.dictionary, stage.learners[0].components_)


def test_a_killed_learning_goes_on(images: np.ndarray, tmp_path: Path) -> None:
    def learn(checkpoint: Checkpoint | None) -> np.ndarray:
        options = {"learners": PSD(), "n_patches": 500, "random_state": 0, "checkpoint": checkpoint}
        hierarchy, _ = learn_filters(Hierarchy(NOTATION), images, **options)  # type: ignore[arg-type]
        return hierarchy.to_state()[0]["1.dictionary"]

    whole = learn(None)
    for _ in range(2):  # the second goes on from what the first left
        np.testing.assert_array_equal(learn(Checkpoint(tmp_path / "run", {}, interval=0)), whole)


def test_says_what_is_wrong(dictionary: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no dictionary yet"):
        SparseCodes(20).apply(np.zeros((4, 4, 9), np.float32))
    with pytest.raises(UsageError, match="made for 9 maps"):
        SparseCodes(20, 0.1, dictionary).output_shape((5, 4, 4))
    with pytest.raises(UsageError, match="does not fit 21 units"):
        SparseCodes(21, 0.1, dictionary)
    with pytest.raises(UsageError, match=r"sparsity is 0\.0; it must be a number above 0"):
        SparseCodes(20, 0.0)
    with pytest.raises(UsageError, match=r"PM1\+2\+4 needs maps of at least 4"):
        PyramidPooling().apply(np.zeros((3, 9, 2), np.float32))
