from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.images import ImageArray, ImageList, as_images, read_image, to_grey


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 5, 6), (1, 5, 6)),
        ((4, 1, 5, 6), (1, 5, 6)),
        ((4, 2, 5, 6), (2, 5, 6)),  # a stereo pair
        ((4, 3, 5, 6), (3, 5, 6)),
        ((4, 5, 6, 1), (1, 5, 6)),
        ((4, 5, 6, 3), (3, 5, 6)),
        # Both readings are possible: the channels come first, as everywhere in this library.
        ((4, 3, 5, 3), (3, 5, 3)),
        ((4, 1, 28, 1), (1, 28, 1)),
        ((3, 32, 32), (1, 32, 32)),  # three grey images, not one in color
    ],
)
def test_layouts(shape: tuple[int, ...], expected: tuple[int, ...], rng: np.random.Generator) -> None:
    array = rng.random(shape, dtype=np.float32)
    images = ImageArray(array)
    assert len(images) == shape[0]
    channels, height, width = expected
    assert images.size_of(0) == (height, width, channels)
    image = images[1]
    assert image.shape == expected
    assert image.flags.c_contiguous
    stored = array[1]
    if stored.shape == (height, width, channels) != expected:
        stored = stored.transpose(2, 0, 1)
    np.testing.assert_array_equal(image, stored.reshape(expected))


@pytest.mark.parametrize("shape", [(5,), (5, 784), (2, 2, 2, 2, 2), (0, 8, 8), (4, 0, 8), (4, 5, 6, 4), (4, 9, 6, 9)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"images: has shape \("):
        ImageArray(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("bool", 1), ("int64", 255), ("int16", 255), ("uint32", 255)],
)
def test_integers_become_fractions(dtype: str, white: int) -> None:
    images = ImageArray(np.array([[[0, white]]]).astype(dtype))
    assert images[0].dtype == np.float32
    np.testing.assert_array_equal(images[0], [[[0, 1]]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_stay_as_they_are(dtype: str) -> None:
    images = ImageArray(np.array([[[-1.5, 0, 300]]]).astype(dtype))
    assert images[0].dtype == np.float32
    assert images[0].dtype.isnative
    np.testing.assert_array_equal(images[0], [[[-1.5, 0, 300]]])


@pytest.mark.parametrize(
    "values", [np.full((2, 3, 3), 256), np.full((2, 3, 3), -1), np.zeros((2, 3, 3), complex), np.full((2, 3, 3), "a")]
)
def test_other_values_are_refused(values: np.ndarray) -> None:
    with pytest.raises(UsageError, match="images: holds"):
        ImageArray(values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_named(value: float) -> None:
    array = np.zeros((20, 3, 3))
    array[13, 1, 1] = value
    with pytest.raises(UsageError, match=r"images\[13\]: holds a value that is not finite"):
        ImageArray(array)


@pytest.mark.parametrize("value", [3e38, -1e16])
def test_values_too_large_to_compute_with_are_named(value: float) -> None:
    for dtype in (np.float32, np.float64, ">f4"):
        array = np.zeros((20, 3, 3), dtype)
        array[13, 1, 1] = value
        with pytest.raises(UsageError, match=r"images\[13\]: holds a value beyond ±1e\+15"):
            ImageArray(array)


_LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda array: np.repeat(np.repeat(array, 2, 0), 2, -1)[::2, ..., ::2],
    "reversed": lambda array: array[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "little-endian": lambda array: array.astype(array.dtype.newbyteorder("<")),
}


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        *(("bool", 1), ("u1", 255), ("i1", 255), ("i2", 255), ("u2", 65535), ("u4", 255), ("i8", 255), ("u8", 255)),
        *(("f2", 1), ("f4", 1), ("f8", 1), ("longdouble", 1)),
    ],
)
@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 3, 5, 6), (4, 5, 6, 3), (1, 1, 1), (1, 5, 1)])
def test_every_layout_and_type(
    tmp_path: Path, rng: np.random.Generator, layout: str, dtype: str, white: float, shape: tuple[int, ...]
) -> None:
    values = rng.integers(0, 2 if dtype == "bool" else 128, shape).astype(dtype)
    expected = values.astype(np.float64) / white
    expected = expected[:, None] if expected.ndim == 3 else expected
    expected = np.moveaxis(expected, 3, 1) if shape[1:] == (5, 6, 3) else expected
    given = _LAYOUTS[layout](values)
    given.setflags(write=False)
    for images in (ImageArray(given), ImageList(list(given))):
        for index, image in enumerate(images):
            assert image.dtype == np.float32
            assert image.dtype.isnative
            assert image.flags.c_contiguous
            np.testing.assert_allclose(image, expected[index], rtol=1e-6)


def test_memory_maps(tmp_path: Path, rng: np.random.Generator) -> None:
    np.save(tmp_path / "a.npy", rng.integers(0, 256, (4, 5, 6), dtype=np.uint8))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    np.testing.assert_array_equal(ImageArray(mapped)[3][0], mapped[3] / np.float32(255))


def test_what_is_no_array_of_numbers() -> None:
    ragged: Any = [np.zeros((2, 2)), [[1, 2], [3]]]
    with pytest.raises(UsageError, match=r"images\[1\]: is no array"):
        ImageList(ragged)
    masked = np.ma.masked_less(np.arange(12.0).reshape(1, 3, 4), 2)
    with pytest.raises(UsageError, match="masked"):
        ImageArray(masked)
    for wrong in (
        np.array([[["2020-01-01"]]], "datetime64[D]"),
        np.zeros((1, 2, 2), "V4"),
        np.zeros((1, 2, 2), object),
    ):
        with pytest.raises(UsageError, match="numbers"):
            ImageArray(wrong)


def test_images_of_pillow_are_as_in_a_file(tmp_path: Path, rng: np.random.Generator) -> None:
    color = Image.fromarray(rng.integers(0, 256, (9, 7, 4), dtype=np.uint8))
    for image in (
        color,
        color.convert("RGB"),
        color.convert("L"),
        color.convert("RGB").quantize(16),
        color.convert("LA"),
    ):
        image.save(tmp_path / "a.png")
        np.testing.assert_array_equal(ImageList([image])[0], read_image(tmp_path / "a.png"))


def test_the_search_for_nan_goes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.images.arrays._CHECKED_AT_ONCE", 20)
    array = np.zeros((7, 3, 3))
    ImageArray(array)
    array[6, 2, 2] = np.nan
    with pytest.raises(UsageError, match=r"images\[6\]"):
        ImageArray(array)


def test_reading_does_not_change_the_array(rng: np.random.Generator) -> None:
    array = rng.random((2, 3, 3), dtype=np.float32)
    before = array.copy()
    images = ImageArray(array)
    images[0][:] = 7
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(images[0], before[:1])


def test_color_and_reduction_on_request(rng: np.random.Generator) -> None:
    array = rng.random((2, 3, 8, 12), dtype=np.float32)
    images = ImageArray(array)
    np.testing.assert_array_equal(images.read(0, color=False), to_grey(array[0]))
    halves = array[0].reshape(3, 4, 2, 6, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(images.read(0, at_least=6), halves, rtol=1e-5)
    assert images.read(0, at_least=7).shape == (3, 8, 12)
    assert ImageArray(array[:, 0]).read(0, color=True).shape == (3, 8, 12)


def test_lists_of_different_sizes(rng: np.random.Generator) -> None:
    sources: list[Any] = [
        rng.random((5, 6)),
        rng.integers(0, 256, (9, 7, 3), dtype=np.uint8),
        rng.random((3, 4, 4)),
        [[0.0, 1.0], [0.5, 0.25]],
    ]
    images = ImageList(sources)
    assert [image.shape for image in images] == [(1, 5, 6), (3, 9, 7), (3, 4, 4), (1, 2, 2)]
    assert [images.size_of(index) for index in range(4)] == [(5, 6, 1), (9, 7, 3), (4, 4, 3), (2, 2, 1)]
    np.testing.assert_array_equal(images[1], sources[1].transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    with pytest.raises(UsageError, match=r"images\[1\]: has shape \(4,\)"):
        ImageList([np.zeros((2, 2)), np.zeros(4)])
    with pytest.raises(UsageError, match=r"images\[1\]"):
        ImageList([np.zeros((2, 2)), np.full((2, 2), np.nan)])


def test_npz_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros((3, 4, 4), np.uint8), y=np.array([[10], [9], [10]]))
    images = as_images(path)
    assert images.labels == ["10", "9", "10"]
    assert images.classes == ("9", "10")
    assert images.names[2] == f"{path}, X[2]"
    np.savez(path, X=np.zeros((3, 4, 4), np.uint8), y=["a", "b"])
    with pytest.raises(UsageError, match=r"a\.npz: 2 labels for 3 images"):
        as_images(path)


def test_nan_in_npz_names_file_key_and_image(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    array = np.zeros((3, 4, 4))
    array[2, 0, 0] = np.nan
    np.savez(path, x=array)
    with pytest.raises(UsageError, match=r"bad\.npz, x\[2\]: holds a value that is not finite"):
        as_images(path)


def test_idx_with_labels_beside(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape) + pixels.tobytes()))
    assert as_images(path).labels is None
    labels_path = tmp_path / "train-labels-idx1-ubyte"
    labels_path.write_bytes(struct.pack(">4BI5B", 0, 0, 8, 1, 5, 3, 1, 4, 1, 5))
    images = as_images(path)
    assert images.labels == ["3", "1", "4", "1", "5"]
    np.testing.assert_array_equal(images[4], pixels[4:] / np.float32(255))
    labels_path.write_bytes(struct.pack(">4BI4B", 0, 0, 8, 1, 4, 3, 1, 4, 1))
    with pytest.raises(UsageError, match="train-labels-idx1-ubyte: 4 labels for 5 images"):
        as_images(path)


def test_digits_stay_in_bytes() -> None:
    array = np.zeros((20_000, 28, 28), np.uint8)
    tracemalloc.start()
    images = ImageArray(array)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(images) == 20_000
    assert peak < 4_000_000  # the names; as float32 the images would take 63 MB


@pytest.mark.data
def test_the_whole_of_mnist(data_folder: Any) -> None:
    train = as_images(data_folder("mnist") / "train-images-idx3-ubyte.gz")
    test = as_images(data_folder("mnist") / "t10k-images-idx3-ubyte.gz")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels is not None
    assert train.labels[:10] == list("5041921314")
    assert test.labels is not None
    assert test.labels[:10] == list("7210414959")
    assert train.classes == tuple("0123456789")
    # The known mean of the training pixels is 33.3184 of 255.
    assert np.mean([image.mean() for image in train]) == pytest.approx(33.318421 / 255, rel=1e-5)
