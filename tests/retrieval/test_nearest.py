from __future__ import annotations

import numpy as np
import pytest

from striate import threads
from striate.errors import UsageError
from striate.retrieval import nearest, nearest_codes, nearest_vectors, pack_bits


@pytest.mark.kernels
@pytest.mark.parametrize("n_bits", [16, 64, 200])
def test_hamming_neighbors_are_those_of_brute_force(n_bits: int, rng: np.random.Generator) -> None:
    bits = rng.random((300, n_bits)) > 0.5
    bits[50:60] = bits[3]  # ties: the lower row comes first
    distances = (bits[:20, np.newaxis] != bits).sum(axis=2)
    codes = pack_bits(bits)
    found = nearest_codes(codes[:20], codes, 15)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :15]
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(distances, expected, axis=1))


def test_threads_and_read_only_memory_change_nothing(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 2**64, (500, 2), np.uint64)
    one = nearest_codes(codes[:40], codes, 9)
    codes.flags.writeable = False
    with threads.limit(2):
        two = nearest_codes(codes[:40], codes, 9)
    np.testing.assert_array_equal(one.rows, two.rows)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_neighbors_are_those_of_numpy(
    metric: nearest.Metric, dtype: type, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_BLOCK_FLOATS", 1000)  # several blocks of queries and of vectors
    vectors: np.ndarray = rng.standard_normal((200, 13)).astype(dtype)
    vectors[7] = vectors[150] = vectors[20]
    queries = np.concatenate([vectors[:9], rng.standard_normal((30, 13)).astype(dtype)])
    if metric == "euclidean":
        distances = np.sqrt(np.square(queries[:, np.newaxis].astype(np.float64) - vectors).sum(axis=2))
    else:
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries.astype(float), vectors)]
        distances = 1 - unit[0] @ unit[1].T
    found = nearest_vectors(queries, vectors, 12, metric=metric)
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :12], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(distances, found.rows, axis=1), found.distances, atol=1e-6)
    assert found.rows[7, :3].tolist() == [7, 20, 150]


def test_a_vector_of_zeros_has_no_direction() -> None:
    found = nearest_vectors(np.zeros((1, 2)), np.eye(2), 2, metric="cosine")
    np.testing.assert_array_equal(found.distances, [[1, 1]])


def test_what_cannot_be_searched() -> None:
    codes = np.zeros((3, 1), np.uint64)
    with pytest.raises(UsageError, match="ask for 1 to 3"):
        nearest_codes(codes, codes, 4)
    with pytest.raises(UsageError, match="same number of columns"):
        nearest_codes(codes, np.zeros((3, 2), np.uint64), 1)
    with pytest.raises(UsageError, match="NaN"):
        nearest_vectors(np.full((1, 2), np.nan), np.eye(2), 1)
    with pytest.raises(UsageError, match="metric"):
        nearest_vectors(np.eye(2), np.eye(2), 1, metric="manhattan")  # type: ignore[arg-type]
