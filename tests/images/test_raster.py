"""What transparent images are laid on, and that bands of rows make no difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from striate.images import raster, read_image


def _icon(color: tuple[int, int, int], *, text: tuple[int, int, int] | None = None) -> Image.Image:
    image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((5, 3, 30, 26), fill=(*color, 255))
    if text:
        pen.line((10, 10, 25, 18), fill=(*text, 255), width=2)
    return image


def _laid(image: Image.Image, ground: int) -> np.ndarray:
    page = Image.new("RGBA", image.size, (ground, ground, ground, 255))
    return np.moveaxis(np.asarray(Image.alpha_composite(page, image).convert("RGB")), 2, 0) / 255


@pytest.mark.parametrize("color", [(255, 255, 255), (240, 240, 240), (255, 255, 160)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "tRNS"])
def test_what_would_vanish_on_white_is_laid_on_black(tmp_path: Path, color: tuple[int, int, int], mode: str) -> None:
    icon = _icon(color)
    expected = _laid(icon, 0)
    path = tmp_path / "a.png"
    if mode == "tRNS":
        opaque = Image.new("RGB", icon.size, (1, 2, 3))
        opaque.paste(icon, mask=icon)
        opaque.save(path, transparency=(1, 2, 3))
    elif mode == "P":
        icon.quantize(4, method=Image.Quantize.FASTOCTREE).save(path)
    else:
        icon.convert(mode).save(path)
    if mode == "LA":
        expected = np.asarray(icon.convert("LA"))[None, ..., 0] / 255 * (np.asarray(icon)[None, ..., 3] > 0)
    np.testing.assert_allclose(read_image(path), expected, atol=0.02)
    assert read_image(path).max() > 0.8
    assert read_image(path, at_least=10).mean() == pytest.approx(expected.mean(), abs=0.03)  # the same ground


@pytest.mark.parametrize(
    ("color", "text"), [((0, 0, 0), None), ((200, 200, 200), None), ((255, 0, 0), None), ((255, 255, 255), (0, 0, 0))]
)
def test_what_shows_on_white_is_laid_on_white(
    tmp_path: Path, color: tuple[int, int, int], text: tuple[int, int, int] | None
) -> None:
    icon = _icon(color, text=text)
    icon.save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), _laid(icon, 255), atol=1.1 / 255)


def test_nothing_but_transparency_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 1).all()
    Image.new("RGBA", (8, 8), (255, 255, 255, 60)).save(tmp_path / "b.png")  # a faint glow
    assert read_image(tmp_path / "b.png").max() < 0.3


def test_a_white_icon_of_sixteen_bits(tmp_path: Path) -> None:
    from tests.images.test_png import _png

    stored = np.zeros((12, 9, 2), np.uint16)
    stored[3:8, 2:7] = 65535
    _png(tmp_path / "a.png", stored, 4, 16)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], (stored[..., 0] > 0).astype(np.float32))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "I;16", "F"])
@pytest.mark.parametrize("at_least", [None, 10, 17])
@pytest.mark.parametrize("color", [None, True, False])
def test_bands_of_rows_make_no_difference(
    tmp_path: Path,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    at_least: int | None,
    color: bool | None,
) -> None:
    noise = Image.fromarray(rng.integers(0, 256, (61, 43, 4), dtype=np.uint8))
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (61, 43), dtype=np.uint16))
    else:
        image = noise.convert("RGB").convert(mode) if mode in ("F", "P") else noise.convert(mode)
    path = tmp_path / ("a.tif" if mode == "F" else "a.png")
    image.save(path)
    whole = read_image(path, at_least=at_least, color=color)
    monkeypatch.setattr(raster, "_BAND", 300)
    np.testing.assert_array_equal(read_image(path, at_least=at_least, color=color), whole)
