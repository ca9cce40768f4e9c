from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from striate.errors import StriateError, UnreadableImage, UsageError
from striate.images.idx import is_idx, labels_beside, read_idx
from striate.images.memory import MemoryBudget

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(values: np.ndarray) -> bytes:
    """The format as its authors describe it."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, CODES[str(values.dtype)], values.ndim, *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def _file(folder: Path, content: bytes, *, compressed: bool = False, name: str = "a-idx") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if compressed else content)
    return path


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


@settings(max_examples=60, deadline=None)
@given(arrays, st.booleans())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, compressed: bool) -> None:
    path = _file(tmp_path_factory.mktemp("idx"), idx_bytes(values), compressed=compressed)
    read = read_idx(path)
    assert read.dtype == values.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, values)
    assert is_idx(path)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_cut_off_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compressed: bool) -> None:
    content = idx_bytes(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    content = gzip.compress(content) if compressed else content
    path = _file(tmp_path_factory.mktemp("idx"), content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(StriateError) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_of_a_compressed_file_is_noticed(tmp_path: Path, rng: np.random.Generator) -> None:
    content = bytearray(gzip.compress(idx_bytes(rng.integers(0, 256, (4, 8, 8), dtype=np.uint8))))
    content[len(content) // 2] ^= 1
    with pytest.raises(UnreadableImage, match=r"damaged|cut off"):
        read_idx(_file(tmp_path, bytes(content)))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path: Path, compressed: bool) -> None:
    content = struct.pack(">BBBBIII", 0, 0, 8, 3, 10_000_000, 32, 32) + bytes(1000)
    path = _file(tmp_path, content, compressed=compressed)
    tracemalloc.start()
    with pytest.raises(UnreadableImage, match="claims 10,240,000,000 bytes"):
        read_idx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_more_bytes_than_the_header_says(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="longer than its header says"):
        read_idx(_file(tmp_path, idx_bytes(np.zeros(3, np.uint8)) + b"x"))


def test_highly_compressible_values_are_believed(tmp_path: Path) -> None:
    zeros = np.zeros((5000, 28, 28), np.uint8)
    np.testing.assert_array_equal(read_idx(_file(tmp_path, idx_bytes(zeros), compressed=True)), zeros)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"text of any kind", b"\0\0\x07\x01\0\0\0\0", b"\0\0\x08\x09\0\0\0\0"]
)
def test_other_files_are_no_idx_files(tmp_path: Path, content: bytes) -> None:
    path = _file(tmp_path, content)
    assert not is_idx(path)
    with pytest.raises(UsageError, match="not an idx file"):
        read_idx(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_idx(tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot be read"):
        read_idx(tmp_path)
    assert not is_idx(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte.gz"),
    ],
)
def test_the_file_of_labels_beside(tmp_path: Path, images: str, labels: str) -> None:
    assert labels_beside(tmp_path / images) is None
    (tmp_path / "other-labels-idx1-ubyte").touch()
    (tmp_path / labels).touch()
    assert labels_beside(tmp_path / images) == tmp_path / labels
    assert labels_beside(tmp_path / "mine.idx") is None


def test_what_expands_like_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, idx_bytes(np.zeros((5000, 28, 28), np.uint8)), compressed=True)
    monkeypatch.setattr("striate.images.idx.BUDGET", MemoryBudget(1_000_000))
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"expands from .* bytes to 3,920,000"):
        read_idx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000
