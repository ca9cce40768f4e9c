from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import StriateError, UnreadableImage, UsageError
from striate.images.norb import read_norb_matrix, read_small_norb


def norb_bytes(values: np.ndarray) -> bytes:
    """The format as its authors describe it."""
    magic = {np.dtype(np.uint8): 0x1E3D4C55, np.dtype(np.int32): 0x1E3D4C54}[values.dtype]
    sizes = (*values.shape, *[1] * (3 - values.ndim))
    header = struct.pack(f"<II{len(sizes)}I", magic, values.ndim, *sizes)
    return header + values.astype(values.dtype.newbyteorder("<")).tobytes()


def write_data_set(folder: Path, n: int = 5) -> tuple[Path, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (n, 2, 96, 96), dtype=np.uint8)
    stem = folder / "smallnorb-5x46789x9x18x6x2x96x96-training"
    parts: dict[str, np.ndarray] = {
        "dat": images,
        "cat": np.arange(n, dtype=np.int32),
        "info": np.arange(4 * n, dtype=np.int32).reshape(n, 4),
    }
    for name, values in parts.items():
        Path(f"{stem}-{name}.mat").write_bytes(norb_bytes(values))
    return Path(f"{stem}-dat.mat"), images


def test_reads_a_tiny_data_set(tmp_path: Path) -> None:
    path, images = write_data_set(tmp_path)
    found = read_small_norb(path)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.category, np.arange(5))
    np.testing.assert_array_equal(found.info[4], [16, 17, 18, 19])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_off_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = norb_bytes(np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    path = tmp_path_factory.mktemp("norb") / "x-info.mat"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(StriateError) as caught:
        read_norb_matrix(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x-dat.mat"
    path.write_bytes(struct.pack("<II4I", 0x1E3D4C55, 4, 2**31, 2, 2**31, 96))
    with pytest.raises(UnreadableImage, match="shorter"):
        read_norb_matrix(path)
    path.write_bytes(struct.pack("<II3I", 0x1E3D4C55, 9, 1, 1, 1))
    with pytest.raises(UnreadableImage, match="9 dimensions"):
        read_norb_matrix(path)


def test_says_what_is_wrong(tmp_path: Path) -> None:
    path, _ = write_data_set(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        read_norb_matrix(tmp_path / "none.mat")
    with pytest.raises(UsageError, match=r"ends in -dat\.mat"):
        read_small_norb(tmp_path / "x.mat")
    (tmp_path / "matlab-dat.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(UsageError, match="no file of NORB"):
        read_norb_matrix(tmp_path / "matlab-dat.mat")
    path.with_name(path.name.replace("-dat", "-cat")).write_bytes(norb_bytes(np.arange(4, dtype=np.int32)))
    with pytest.raises(UsageError, match="do not belong together"):
        read_small_norb(path)
