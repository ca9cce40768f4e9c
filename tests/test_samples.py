"""Samples: every layout, type and container of real numbers gives the same rows, all else one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from striate.errors import UsageError
from striate.samples import as_samples, check_finite, evenly_spread, float_type, kernel_array

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3) / 8


def _unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[:] = array
    return view


def _read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1].copy()[::-1],
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.float16),
        lambda a: a.astype(">f2"),
        _unaligned,
        _read_only,
        lambda a: a.view(np.matrix),
    ],
)
def test_every_form_of_single_precision(form) -> None:
    taken = as_samples(form(TABLE))
    assert type(taken) is np.ndarray
    assert taken.dtype == np.float32
    assert taken.dtype.isnative
    assert taken.flags.c_contiguous
    assert taken.flags.aligned
    np.testing.assert_array_equal(taken, TABLE)


@pytest.mark.parametrize("dtype", ["f8", ">f8", "i4", ">i8", "u1", "?", "g"])
def test_all_else_becomes_double_precision(dtype: str) -> None:
    table = np.array([[0, 1], [1, 0]]).astype(dtype)
    assert as_samples(table).dtype == np.float64
    assert float_type(np.dtype(dtype)) == np.float64
    np.testing.assert_array_equal(as_samples(table), [[0, 1], [1, 0]])


def test_memory_maps_and_lists(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TABLE)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert np.shares_memory(as_samples(mapped, finite=False), mapped)  # nothing is copied
    np.testing.assert_array_equal(as_samples(TABLE.tolist()), TABLE)
    np.testing.assert_array_equal(as_samples(TABLE.astype(object)), TABLE)
    assert np.shares_memory(kernel_array(TABLE), TABLE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (sparse.csr_array(TABLE), r"sparse matrix.*toarray"),
        (sparse.coo_matrix(TABLE), r"sparse matrix.*toarray"),
        (TABLE.astype(complex), "real numbers, not complex128"),
        (TABLE.astype("M8[s]"), "real numbers, not datetime64"),
        ([["a", "b"]], "real numbers, not <U1"),
        ([[1, 2], [3]], "no table of numbers"),
        (np.array([[None, {}]]), "no table of numbers"),
        (TABLE[0], r"shape \(3,\), and \(n_samples, 3\) is needed"),
        (TABLE[:, :2], r"shape \(4, 2\), and \(n_samples, 3\) is needed"),
        (np.ma.masked_greater(TABLE, 1), "masked"),
    ],
)
def test_what_is_no_table_of_real_numbers_is_refused(values: object, words: str) -> None:
    with pytest.raises(UsageError, match=f"^vectors .*{words}"):
        as_samples(values, name="vectors", n_features=3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_first_sample_that_is_not_finite_is_named(wrong: float) -> None:
    table = TABLE.copy()
    table[2:, 1] = wrong
    with pytest.raises(UsageError, match="in sample 2;"):
        as_samples(table)
    with pytest.raises(UsageError, match="in sample 102;"):
        check_finite(table, first=100)
    check_finite(np.full((2, 3), np.finfo(np.float32).max))  # a sum that overflows is not a number that does
    as_samples(table, finite=False)


@pytest.mark.parametrize(("n", "at_most"), [(0, 3), (1, 3), (3, 3), (4, 3), (7, 4), (1000, 60), (5, 9)])
def test_indices_are_spread_evenly(n: int, at_most: int) -> None:
    found = evenly_spread(n, at_most)
    assert len(found) == min(n, at_most)
    assert np.unique(found).tolist() == found.tolist()
    if n:
        assert (found[0], found[-1]) == (0, n - 1)
        assert np.ptp(np.diff(found)) <= 1 if len(found) > 1 else True
