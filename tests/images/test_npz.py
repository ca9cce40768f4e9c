from __future__ import annotations

import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from striate.errors import StriateError, UnreadableImage, UsageError
from striate.images.memory import MemoryBudget
from striate.images.npz import IMAGE_KEYS, LABEL_KEYS, read_npz


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["uint8", "uint16", "float16", ">f4", "float64"]),
        hnp.array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=4),
        elements={"allow_nan": False},
    ),
    st.sampled_from(IMAGE_KEYS),
    st.sampled_from(LABEL_KEYS),
    st.booleans(),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    images: np.ndarray,
    image_key: str,
    label_key: str,
    compressed: bool,
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    arrays: dict[str, Any] = {image_key: np.asfortranarray(images), label_key: np.arange(len(images)), "other": [1]}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    read, labels, source = read_npz(path)
    np.testing.assert_array_equal(read, images)
    assert labels is not None
    np.testing.assert_array_equal(labels, np.arange(len(images)))
    assert source == f"{path}, {image_key}"


def test_labels_are_optional(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 3)))
    assert read_npz(tmp_path / "a.npz")[1] is None


def test_missing_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", photos=np.zeros((2, 3, 3)), y=[0, 1])
    with pytest.raises(UsageError, match="holds photos, y; call the array of images images or x or X or data"):
        read_npz(tmp_path / "a.npz")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "executed").touch, ())

    np.savez(tmp_path / "a.npz", images=np.array([Bomb()]))
    np.savez(tmp_path / "b.npz", images=np.zeros((1, 2, 2)), labels=np.array([Bomb()]))
    for name, key in (("a.npz", "images"), ("b.npz", "labels")):
        with pytest.raises(UsageError, match=f"{name}: {key} holds Python objects"):
            read_npz(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, truncate: bool) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    np.savez_compressed(path, images=images, labels=[0, 1, 2])
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if truncate:
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    if truncate:
        with pytest.raises(UnreadableImage, match=r"a\.npz"):
            read_npz(path)
        return
    with suppress(StriateError):
        # What is read in spite of a changed byte (a date, a name) is what was written: the checksum says so.
        np.testing.assert_array_equal(read_npz(path)[0], images)


def _claiming(path: Path, shape: tuple[int, ...], *, directory_size: int | None = None) -> Path:
    """An archive whose array header claims more than there is; optionally its directory does too."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
    if directory_size is not None:
        content = path.read_bytes()
        path.write_bytes(content.replace(struct.pack("<I", len(member)), struct.pack("<I", directory_size)))
    return path


@pytest.mark.parametrize("directory_size", [None, 4_000_000_000])
def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path: Path, directory_size: int | None) -> None:
    path = _claiming(tmp_path / "a.npz", (3_000_000, 32, 32), directory_size=directory_size)
    tracemalloc.start()
    with pytest.raises(UnreadableImage, match="claims 3,072,000,000 bytes"):
        read_npz(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_negative_sizes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage):
        read_npz(_claiming(tmp_path / "a.npz", (-1, 5, 5)))


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"", b"text", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(UnreadableImage, match=r"no \.npz file"):
            read_npz(path)
    with pytest.raises(UsageError, match="no such file"):
        read_npz(tmp_path / "missing.npz")
    with pytest.raises(UsageError, match="cannot be read"):
        read_npz(tmp_path)


def test_what_expands_like_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((5000, 32, 32), np.uint8))
    assert read_npz(tmp_path / "a.npz")[0].shape == (5000, 32, 32)
    monkeypatch.setattr("striate.images.npz.BUDGET", MemoryBudget(1_000_000))
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"images expands from .* bytes to 5,120,000.*store it uncompressed"):
        read_npz(tmp_path / "a.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000
    np.savez(tmp_path / "b.npz", images=np.zeros((5000, 32, 32), np.uint8))
    assert read_npz(tmp_path / "b.npz")[0].shape == (5000, 32, 32)


def test_old_files_are_read_without_a_warning(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L, 3L), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:  # as NumPy wrote it on Python 2
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(18))
    assert read_npz(tmp_path / "a.npz")[0].shape == (2, 3, 3)
