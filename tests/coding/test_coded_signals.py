"""Codes of a stream of signals, and signals in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from striate.coding import PreparedDictionary, certify, coded_signals, infer
from striate.coding.coded_signals import CodedSignals
from striate.coding.signal_file import open_rows
from striate.errors import StriateError, UsageError


@pytest.fixture
def dictionary(rng: np.random.Generator) -> PreparedDictionary:
    return PreparedDictionary(rng.standard_normal((12, 8)).astype(np.float32))


def test_blocks_are_the_codes_of_all_signals_and_are_certified(
    dictionary: PreparedDictionary, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded_signals, "_BLOCK", 10)
    signals = rng.laplace(size=(25, 8)).astype(np.float32)
    coded = CodedSignals(signals, dictionary, 0.5, positive=True)
    codes = sparse.vstack(list(coded.blocks()))
    assert codes.shape == coded.shape == (25, 12)
    assert codes.dtype == coded.dtype == np.float32
    np.testing.assert_array_equal(codes.toarray(), infer(signals, dictionary, 0.5, positive=True))
    proof = certify(signals, codes, dictionary.components, 0.5, positive=True)
    assert coded.active_fraction == codes.nnz / (25 * 12)
    assert coded.objective == pytest.approx(proof.objective.mean())
    assert coded.largest_gap == pytest.approx(proof.relative_gap.max())


def test_codes_may_be_predicted(dictionary: PreparedDictionary, rng: np.random.Generator) -> None:
    signals = rng.laplace(size=(5, 8))

    def encode(block: np.ndarray) -> np.ndarray:
        return np.maximum(block @ dictionary.components.T - 1, 0)

    (codes,) = CodedSignals(signals, dictionary, 0.5, encode=encode).blocks()
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes.toarray(), encode(signals))


def test_rows_of_files(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "one.npz", anything=values)
    np.savez(tmp_path / "two.npz", X=values, Y=-values)
    for path in ("a.npy", "one.npz", "two.npz"):
        np.testing.assert_array_equal(open_rows(tmp_path / path), values.reshape(2, 12))
    np.testing.assert_array_equal(open_rows(tmp_path / "two.npz", key="Y"), -values.reshape(2, 12))
    assert isinstance(open_rows(tmp_path / "a.npy").base, np.memmap)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3), "must be real numbers, one per row"),
        (np.zeros((0, 3)), "at least one"),
        (np.array([["a"]]), "must be real numbers"),
        (np.array([[1.0, np.nan]]), "rows has NaN|NaN"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path: Path, content: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(UsageError, match=message):
        open_rows(tmp_path / "a.npy")


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.npy: there is no such file"):
        open_rows(tmp_path / "b.npy")
    (tmp_path / "a.npy").write_bytes(b"damaged")
    with pytest.raises(StriateError, match=r"a\.npy: cannot be read as an array"):
        open_rows(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", Y=np.zeros((2, 2)), Z=np.zeros((2, 2)))
    with pytest.raises(UsageError, match="holds Y, Z; say which with --key"):
        open_rows(tmp_path / "a.npz")
