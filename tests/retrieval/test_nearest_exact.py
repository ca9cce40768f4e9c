"""Nearest vectors against a brute-force reference in exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from striate.errors import UsageError
from striate.retrieval import near_duplicates, nearest, nearest_codes, nearest_vectors, pack_bits, unpack_bits


def exact_squares(queries: np.ndarray, vectors: np.ndarray) -> list[list[Fraction]]:
    """Squared Euclidean distances without any rounding."""

    def fractions(rows: np.ndarray) -> list[list[Fraction]]:
        return [[Fraction(value) for value in row] for row in rows.tolist()]

    return [
        [sum(((a - b) ** 2 for a, b in zip(query, vector, strict=True)), Fraction(0)) for vector in fractions(vectors)]
        for query in fractions(queries)
    ]


def assert_exact(queries: np.ndarray, vectors: np.ndarray, n: int) -> None:
    """Each neighbor is as near as the exact one at its place; equal vectors come in the order of their rows."""
    found = nearest_vectors(queries, vectors, n)
    for squares, rows, distances in zip(exact_squares(queries, vectors), found.rows, found.distances, strict=True):
        order = sorted(range(len(vectors)), key=lambda row: (squares[row], row))[:n]
        for place, (row, right) in enumerate(zip(rows.tolist(), order, strict=True)):
            got, wanted = squares[row], squares[right]
            # Only what a distance in double precision cannot tell apart may change places.
            assert abs(got - wanted) <= wanted * Fraction(1, 2**48), (place, row, right)
            if vectors[row].tolist() == vectors[right].tolist():
                assert row == right
            assert float(Fraction(float(distances[place])) ** 2 - got) == pytest.approx(0, abs=float(got) * 1e-14)
        assert len(set(rows.tolist())) == n


SETS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "seconds since 1970": lambda rng: 1_790_000_000 + np.arange(0, 3600, 36.0)[:, np.newaxis],
    "far from the origin": lambda rng: 1e9 + rng.standard_normal((60, 3)),
    "each feature at another place": lambda rng: rng.standard_normal((60, 4)) + np.array([0.0, 1e8, -1e12, 3e15]),
    "two clusters far apart": lambda rng: np.repeat([0.0, 1e9], 40)[:, np.newaxis] + rng.random((80, 2)),
    "one outlier": lambda rng: np.vstack([rng.standard_normal((50, 3)), [[1e15, 1e15, 1e15]]]),
    "huge": lambda rng: 1e150 * rng.standard_normal((40, 3)),
    "tiny": lambda rng: 1e-160 * rng.standard_normal((40, 3)),
    "all sizes": lambda rng: rng.standard_normal((60, 2)) * 10.0 ** rng.integers(-40, 40, (60, 1)),
    "on a grid, with ties": lambda rng: rng.integers(0, 3, (90, 2)).astype(float),
    "copies": lambda rng: rng.standard_normal((6, 3))[rng.integers(0, 6, 60)] + 1e6,
    "one feature": lambda rng: rng.standard_normal((40, 1)),
    "one row": lambda rng: rng.standard_normal((1, 4)),
    "constant": lambda rng: np.full((30, 3), 7e7),
    "nanoseconds since 1970": lambda rng: 1_790_000_000_000_000_000 + rng.permutation(60)[:, np.newaxis],
    "64 bits without a sign": lambda rng: np.uint64(2**64 - 1) - rng.permutation(60).astype(np.uint64)[:, np.newaxis],
    "bytes": lambda rng: rng.integers(0, 256, (60, 3)).astype(np.uint8),
    "small bytes with a sign": lambda rng: rng.integers(-128, 128, (60, 3)).astype(np.int8),
}


@pytest.mark.parametrize("block", [8, 100, 1 << 22])
@pytest.mark.parametrize("name", SETS)
def test_neighbors_are_those_of_exact_arithmetic(
    name: str, block: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_BLOCK_FLOATS", block)
    vectors = SETS[name](rng)
    for n in {1, min(7, len(vectors)), len(vectors)}:
        assert_exact(vectors[::6], vectors, n)


@pytest.mark.parametrize("name", ["far from the origin", "seconds since 1970", "copies", "one outlier"])
def test_single_precision_is_searched_in_double(name: str, rng: np.random.Generator) -> None:
    vectors = SETS[name](rng).astype(np.float32)
    assert_exact(vectors[::5], vectors, 5)
    assert_exact(vectors[::5].astype(np.float64) + 0.25, vectors, 5)


def test_events_find_themselves_and_their_neighbors() -> None:
    seconds = 1_790_000_000 + np.arange(0, 3600, 18.0)[:, np.newaxis]
    found = nearest_vectors(seconds, seconds, 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(200))
    np.testing.assert_array_equal(nearest_vectors(seconds + 0.5, seconds, 1).distances, 0.5)


def test_the_largest_and_smallest_numbers() -> None:
    found = nearest_vectors(np.array([[1.7e308]]), np.array([[-1.7e308], [1e308], [0.0]]), 3)
    assert found.rows.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(found.distances[0, :2], [0.7e308, 1.7e308])
    assert found.distances[0, 2] == np.inf
    found = nearest_vectors(np.array([[5e-324]]), np.array([[2e-323], [0.0], [1.5e-323]]), 3)
    assert found.rows.tolist() == [[1, 2, 0]]
    np.testing.assert_array_equal(found.distances, [[5e-324, 1e-323, 1.5e-323]])


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200, 1e-320])
def test_the_cosine_of_small_angles(scale: float) -> None:
    angles = np.array([3e-9, 0.0, -1e-9, 2e-9, np.pi / 2])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = nearest_vectors(scale * vectors[1:2], vectors * [[1e3], [1], [1e-5], [7], [2]], 5, metric="cosine")
    assert found.rows.tolist() == [[1, 2, 3, 0, 4]]
    np.testing.assert_allclose(found.distances[0], 2 * np.sin(angles[found.rows[0]] / 2) ** 2, rtol=1e-5)


def test_cosine_of_one_direction_is_a_tie(rng: np.random.Generator) -> None:
    vector = rng.standard_normal(40)
    scales = np.array([3.0, 1.0, 1e-200, 7.0, 0.1, 1e30, 5.0])
    found = nearest_vectors(vector[np.newaxis], scales[:, np.newaxis] * vector, 7, metric="cosine")
    np.testing.assert_array_equal(found.rows, [np.arange(7)])
    np.testing.assert_array_equal(found.distances, 0)


def test_cosine_with_vectors_of_zeros() -> None:
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    found = nearest_vectors(vectors, vectors, 5, metric="cosine")
    assert found.rows.tolist()[0] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found.distances[0], 1)
    assert found.rows.tolist()[1] == [1, 0, 3, 4, 2]
    np.testing.assert_array_equal(found.distances[1], [0, 1, 1, 1, 2])


def layouts(array: np.ndarray, folder: Path) -> dict[str, Any]:
    """The same numbers in all forms in which they may be given."""
    read_only = array.copy()
    read_only.flags.writeable = False
    wide = np.zeros((2 * len(array), 2 * array.shape[1]), array.dtype)
    wide[::2, ::2] = array
    path = folder / "array.npy"
    np.save(path, array)
    raw = bytearray(array.nbytes + 1)
    unaligned = np.frombuffer(memoryview(raw)[1:], array.dtype).reshape(array.shape)
    unaligned[...] = array
    return {
        "C": array,
        "F": np.asfortranarray(array),
        "strided": wide[::2, ::2],
        "read-only": read_only,
        "reversed": np.ascontiguousarray(array[::-1])[::-1],
        "mapped": np.load(path, mmap_mode="r"),
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
        "unaligned": unaligned,
        "list": array.tolist(),
    }


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_any_layout_of_vectors(metric: nearest.Metric, dtype: type, rng: np.random.Generator, tmp_path: Path) -> None:
    vectors: np.ndarray = rng.standard_normal((40, 3)).astype(dtype)
    expected = nearest_vectors(vectors[:9], vectors, 5, metric=metric)
    for name, given in layouts(vectors, tmp_path).items():
        five: Any = np.int64(5)
        found = nearest_vectors(given[:9], given, five, metric=metric)
        np.testing.assert_array_equal(found.rows, expected.rows, err_msg=name)
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-14, err_msg=name)


def test_any_layout_of_codes(rng: np.random.Generator, tmp_path: Path) -> None:
    codes = pack_bits(rng.random((40, 100)) > 0.5)
    codes[31] = codes[4]
    expected = nearest_codes(codes[:9], codes, 5)
    forms = layouts(codes, tmp_path) | {"as signed": codes.view(np.int64)}
    del forms["list"]
    for name, given in forms.items():
        five: Any = np.uint8(5)
        np.testing.assert_array_equal(nearest_codes(given[:9], given, five).rows, expected.rows, err_msg=name)
        (group,) = near_duplicates(given, np.int32(100), np.int64(0))  # type: ignore[arg-type]
        assert group.tolist() == [4, 31]
        np.testing.assert_array_equal(unpack_bits(given, 100), unpack_bits(codes, 100), err_msg=name)


@pytest.mark.parametrize(
    ("queries", "vectors", "words"),
    [
        (np.eye(2), np.array([[0, 1], [np.nan, 0]]), "vectors hold NaN or infinity, first in sample 1"),
        (np.eye(2), np.array([[np.inf, 1], [0, 0]]), "vectors hold NaN"),
        (np.array([[0, -np.inf]]), np.eye(2), "queries hold NaN"),
        (scipy.sparse.eye_array(2, format="csr"), np.eye(2), "queries are a sparse matrix"),
        (np.eye(2), scipy.sparse.csc_matrix(np.eye(2)), "vectors are a sparse matrix"),
        (np.eye(2)[0], np.eye(2), "queries have shape"),
        (np.eye(2) * 1j, np.eye(2), "complex"),
        (np.array([["a", "b"]]), np.eye(2), "queries"),
        (np.ma.masked_less(np.eye(2), 1), np.eye(2), "masked"),
        (np.eye(3), np.eye(2), "same number of columns"),
    ],
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_what_are_no_vectors(queries: Any, vectors: Any, words: str, metric: nearest.Metric) -> None:
    with pytest.raises(UsageError, match=words):
        nearest_vectors(queries, vectors, 1, metric=metric)


@pytest.mark.parametrize("wrong", [0, -1, 3, 1.0, 1.5, "2", None, True, np.nan])
def test_how_many_neighbors(wrong: Any) -> None:
    with pytest.raises(UsageError, match="neighbors"):
        nearest_vectors(np.eye(2), np.eye(2), wrong)
    with pytest.raises(UsageError, match="neighbors"):
        nearest_codes(np.zeros((2, 1), np.uint64), np.zeros((2, 1), np.uint64), wrong)


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 64), bool), np.zeros((3, 1)), np.zeros(3, np.uint64), scipy.sparse.eye_array(3), [["a"]]]
)
def test_what_are_no_codes(wrong: Any) -> None:
    with pytest.raises(UsageError, match="pack_bits"):
        nearest_codes(wrong, wrong, 1)
    with pytest.raises(UsageError, match="pack_bits"):
        near_duplicates(wrong, 64, 1)


def test_numbers_of_bits_fit_the_codes() -> None:
    codes = np.zeros((3, 2), np.uint64)
    for n_bits in (64, 129):
        with pytest.raises(UsageError, match="2 words"):
            near_duplicates(codes, n_bits, 1)
        with pytest.raises(UsageError, match="2 words"):
            unpack_bits(codes, n_bits)
    for wrong in (1.5, "1", None):
        with pytest.raises(UsageError, match="threshold"):
            near_duplicates(codes, 128, wrong)  # type: ignore[arg-type]


def test_no_queries() -> None:
    found = nearest_vectors(np.zeros((0, 2)), np.eye(2), 2)
    assert found.rows.shape == found.distances.shape == (0, 2)
