"""TIFF of every depth and layout, written by hand and by tifffile, against the numbers that were written."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.errors import UnreadableImage
from striate.images import image_size, read_image, to_grey

HEIGHT, WIDTH = 5, 7


def _tiff(
    path: Path, data: bytes, depth: int, *, n: int = 1, photometric: int = 1, number: int = 1, **tags: Any
) -> Path:
    """One strip, little-endian, uncompressed; `tags` are ``_338=(2,)`` and the like."""
    entries: dict[int, tuple[int, ...]] = {256: (WIDTH,), 257: (HEIGHT,), 258: (depth,) * n, 259: (1,)}
    entries |= {262: (photometric,), 273: (8,), 277: (n,), 278: (HEIGHT,), 279: (len(data),), 339: (number,) * n}
    entries |= {int(name[1:]): values for name, values in tags.items()}
    body = bytearray(b"II*\0" + bytes(4) + data + bytes(len(data) % 2))
    table = b""
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            where = struct.pack("<I", len(body))
            body += packed
            packed = where
        table += struct.pack("<HHI", tag, 4, len(values)) + packed
    struct.pack_into("<I", body, 4, len(body))
    path.write_bytes(bytes(body) + struct.pack("<H", len(entries)) + table + bytes(4))
    return path


def _bits(values: np.ndarray, depth: int) -> bytes:
    """Rows of values, most significant bit first, each row filled up to whole bytes."""
    rows = ["".join(format(int(value), f"0{depth}b") for value in row.ravel()) for row in values]
    padded = [row.ljust(-(-len(row) // 8) * 8, "0") for row in rows]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in padded)


def _reason(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("depth", [2, 3, 4, 6, 8, 10, 12, 14, 15])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_greatest_of_the_depth_is_white(
    tmp_path: Path, rng: np.random.Generator, depth: int, inverted: bool
) -> None:
    stored = rng.integers(0, 2**depth, (HEIGHT, WIDTH))
    stored[0, :2] = 0, 2**depth - 1
    path = _tiff(tmp_path / "a.tif", _bits(stored, depth), depth, photometric=0 if inverted else 1)
    expected = stored / (2**depth - 1)
    np.testing.assert_allclose(read_image(path), [1 - expected if inverted else expected], atol=1e-6)
    assert image_size(path) == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "u4", "i1", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize("n", [1, 3])
def test_kinds_of_numbers(tmp_path: Path, rng: np.random.Generator, order: str, kind: str, n: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    stored: np.ndarray
    if kind[0] == "f":
        stored, white = rng.normal(size=(HEIGHT, WIDTH, n)), 1.0
    else:
        white = float(np.iinfo(kind).max)
        stored = rng.integers(0, int(white), (HEIGHT, WIDTH, n), endpoint=True)
        stored[0, 0] = white
    stored = stored.astype(kind)
    for planar in ("contig", "separate") if n == 3 else ("contig",):
        path = tmp_path / "a.tif"
        values = np.moveaxis(stored, 2, 0) if planar == "separate" else stored[..., 0] if n == 1 else stored
        photometric = "rgb" if n == 3 else "minisblack"
        tifffile.imwrite(
            path, values, byteorder=order, photometric=photometric, planarconfig=planar if n == 3 else None
        )
        expected = np.moveaxis(stored, 2, 0).astype(np.float64) / white
        np.testing.assert_allclose(read_image(path), expected, rtol=1e-6)
        np.testing.assert_allclose(read_image(path, color=False), to_grey(expected), rtol=1e-5, atol=1e-6)
        assert image_size(path) == (HEIGHT, WIDTH, n)


@pytest.mark.parametrize(
    ("kind", "predictor"), [("u2", False), ("u2", True), ("u4", True), ("f2", False), ("f4", False), ("f8", False)]
)
@pytest.mark.parametrize("options", [{}, {"tile": (16, 32)}, {"rowsperstrip": 3}, {"bigtiff": True}])
def test_compressed_with_differences_and_in_tiles(
    tmp_path: Path, rng: np.random.Generator, kind: str, predictor: bool, options: dict[str, Any]
) -> None:
    tifffile = pytest.importorskip("tifffile")
    stored = np.cumsum(rng.integers(0, 50, (37, 45, 3)), axis=1).astype(kind)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", compression="zlib", predictor=predictor or None, **options
    )
    white = 1.0 if kind[0] == "f" else float(np.iinfo(kind).max) if kind == "u2" else 65535.0
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), np.moveaxis(stored, 2, 0) / white, rtol=1e-6)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<f8"])
def test_predictor_of_floating_point(tmp_path: Path, rng: np.random.Generator, kind: str) -> None:
    import zlib

    # Technical Note 3: the bytes of a row by significance, then differences between neighbours.
    stored = rng.normal(size=(HEIGHT, WIDTH)).astype(kind)
    size = stored.itemsize
    rows = stored.astype(stored.dtype.newbyteorder(">")).view(np.uint8).reshape(HEIGHT, WIDTH, size)
    planes = rows.transpose(0, 2, 1).reshape(HEIGHT, -1)
    packed = zlib.compress(np.diff(planes, axis=1, prepend=np.uint8(0)).astype(np.uint8).tobytes())
    path = _tiff(tmp_path / "a.tif", packed, 8 * size, number=3, _259=(8,), _317=(3,))
    np.testing.assert_array_equal(read_image(path), stored.astype(np.float32)[None])


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "lzma", "zstd"])
def test_compressions_of_sixteen_bits(tmp_path: Path, rng: np.random.Generator, compression: str) -> None:
    stored = rng.integers(0, 2000, (61, 43), dtype=np.uint16)
    path = tmp_path / "a.tif"
    try:
        Image.fromarray(stored).save(path, compression=compression)
    except (OSError, KeyError):
        pytest.skip("this Pillow does not write it")
    np.testing.assert_allclose(read_image(path), stored[None] / 65535, rtol=1e-6)


def test_what_has_no_white_of_its_own_is_read_as_arrays_are(tmp_path: Path) -> None:
    for values, white in (([0, 100, 200, 255], 255), ([0, 100, 200, 256], 65535), ([0, 70000], 2**32 - 1)):
        stored = np.resize(np.array(values, "<u4"), (HEIGHT, WIDTH))
        path = _tiff(tmp_path / "a.tif", stored.tobytes(), 32)
        np.testing.assert_allclose(read_image(path), stored[None] / white, rtol=1e-6)


@pytest.mark.parametrize("kind", ["<i1", "<i2", "<i4"])
def test_negative_integers_are_refused(tmp_path: Path, kind: str) -> None:
    stored = np.resize(np.array([-128, 0, 64, 127], kind), (HEIGHT, WIDTH))
    assert "integers outside" in _reason(_tiff(tmp_path / "a.tif", stored.tobytes(), 8 * stored.itemsize, number=2))


@pytest.mark.parametrize("value", [3e38, -3e38, 1e300, np.nan, np.inf, 1e16])
@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_values_that_nothing_can_be_computed_with(tmp_path: Path, value: float, kind: str) -> None:
    with np.errstate(over="ignore"):
        stored = np.full((HEIGHT, WIDTH), value).astype(kind)
    assert "values" in _reason(_tiff(tmp_path / "a.tif", stored.tobytes(), 8 * stored.itemsize, number=3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_and_its_alpha(tmp_path: Path, rng: np.random.Generator, dtype: type) -> None:
    white = np.iinfo(dtype).max
    stored = rng.integers(0, white, (HEIGHT, WIDTH, 5), dtype=dtype, endpoint=True)
    cyan, black, alpha = stored[..., :3] / white, stored[..., 3:4] / white, stored[..., 4] / white
    expected = np.moveaxis((1 - cyan) * (1 - black), 2, 0) * alpha + (1 - alpha)
    path = _tiff(tmp_path / "a.tif", stored.tobytes(), 8 * stored.itemsize, n=5, photometric=5, _338=(2,))
    np.testing.assert_allclose(read_image(path), expected, atol=1e-5)
    path = _tiff(tmp_path / "b.tif", stored[..., :4].tobytes(), 8 * stored.itemsize, n=4, photometric=5)
    np.testing.assert_allclose(read_image(path), np.moveaxis((1 - cyan) * (1 - black), 2, 0), atol=1.1 / 255)


def test_alpha_of_sixteen_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 40000, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    stored[..., 3] = rng.integers(0, 65536, (HEIGHT, WIDTH))
    color, alpha = np.moveaxis(stored[..., :3], 2, 0) / 65535, stored[..., 3] / 65535
    path = _tiff(tmp_path / "a.tif", stored.tobytes(), 16, n=4, photometric=2, _338=(2,))
    np.testing.assert_allclose(read_image(path), color * alpha + (1 - alpha), atol=1e-6)
    path = _tiff(tmp_path / "b.tif", stored.tobytes(), 16, n=4, photometric=2, _338=(1,))
    np.testing.assert_allclose(read_image(path), np.minimum(color + (1 - alpha), 1), atol=1e-6)
    path = _tiff(tmp_path / "c.tif", stored.tobytes(), 16, n=4, photometric=2, _338=(0,))
    np.testing.assert_allclose(read_image(path), color, atol=1e-6)
    grey = np.ascontiguousarray(stored[..., ::3])
    path = _tiff(tmp_path / "d.tif", grey.tobytes(), 16, n=2, _338=(2,))
    np.testing.assert_allclose(read_image(path), (color[0] * alpha + (1 - alpha))[None], atol=1e-6)
    assert image_size(path) == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_sixteen_bits(tmp_path: Path, rng: np.random.Generator, orientation: int) -> None:
    stored = rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    eight = (stored >> 8).astype(np.uint8)
    deep = read_image(_tiff(tmp_path / "a.tif", stored.tobytes(), 16, _274=(orientation,)))
    shallow_path = _tiff(tmp_path / "b.tif", eight.tobytes(), 8, _274=(orientation,))
    np.testing.assert_allclose(deep, read_image(shallow_path), atol=1 / 255)
    assert image_size(tmp_path / "a.tif")[:2] == image_size(shallow_path)[:2] == deep.shape[1:]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 8, "n": 5}, "5 channels of 8-bit integers"),
        ({"depth": 64, "number": 6}, "complex"),
        ({"depth": 64, "number": 1}, "64-bit integers"),
        ({"depth": 24, "number": 3}, "24-bit floating-point"),
        ({"depth": 16, "photometric": 3}, "palette"),
        ({"depth": 16, "n": 3, "photometric": 8}, "Lab"),
        ({"depth": 16, "photometric": 32803}, "raw mosaic"),
        ({"depth": 8, "_259": (34712,)}, "8-bit"),
    ],
)
def test_what_is_not_read_is_called_by_its_kind(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    path = _tiff(tmp_path / "a.tif", bytes(HEIGHT * WIDTH * 40), **options)
    assert words in _reason(path)
    assert "not an image" not in _reason(path)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("tag", [270, 274, 282, 297, 330, 700, 34665, 34675, 34853])
@pytest.mark.parametrize("values", [(99_999_999,), (60, 60)])
def test_damaged_metadata_does_not_cost_the_pixels(
    tmp_path: Path, rng: np.random.Generator, depth: int, tag: int, values: tuple[int, ...]
) -> None:
    stored = rng.integers(0, 2**depth, (HEIGHT, WIDTH)).astype(f"<u{depth // 8}")
    tags: dict[str, Any] = {f"_{tag}": values}
    path = _tiff(tmp_path / "a.tif", stored.tobytes(), depth, **tags)
    np.testing.assert_allclose(read_image(path), stored[None] / (2**depth - 1), rtol=1e-6)
    assert image_size(path) == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pixels_that_are_missing(tmp_path: Path, rng: np.random.Generator, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(rng.integers(0, 65536, (64, 64), dtype=np.uint16)).save(path, compression=compression)
    encoded = path.read_bytes()
    ends = encoded[:8], encoded[-2000:]
    path.write_bytes(ends[0] + encoded[8:-2000][:3000])
    assert _reason(path)


def test_libtiff_writes_nothing_to_standard_error(tmp_path: Path, rng: np.random.Generator) -> None:
    for number, compression in enumerate(["tiff_lzw", "tiff_adobe_deflate", "group4", "jpeg", "packbits"] * 4):
        image = Image.fromarray(rng.integers(0, 9, (64, 64), dtype=np.uint8))
        path = tmp_path / f"{number}.tif"
        (image.convert("1") if compression == "group4" else image).save(path, compression=compression)
        encoded = bytearray(path.read_bytes())
        for place in rng.integers(8, len(encoded), 30):
            encoded[place] ^= 0x55
        path.write_bytes(encoded)
    code = (
        "import sys, pathlib\n"
        "from striate.images import read_image\n"
        "from striate.errors import UnreadableImage\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: read_image(path)\n"
        "    except UnreadableImage: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
