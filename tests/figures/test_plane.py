from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from striate.figures import draw_points, draw_surface, surface_pixels, write_animation


def test_black_is_low_and_white_is_high() -> None:
    energies = np.arange(100.0).reshape(10, 10)
    pixels = surface_pixels(energies)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0] == 0
    assert (pixels[7:] == 255).all()
    assert (np.diff(pixels.ravel().astype(int)) >= 0).all()
    assert (surface_pixels(np.ones((3, 3))) == 0).all()


def test_a_film_loops_and_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    bottom = np.full((20, 20), 255, np.uint8)
    bottom[:5] = 0  # the lowest rows
    write_animation(path, [np.full((20, 20), 128, np.uint8), bottom], seconds=0.1, hold=1.0)
    with Image.open(path) as film:
        assert film.n_frames == 2  # type: ignore[attr-defined]
        assert film.info["loop"] == 0
        film.seek(1)
        last = np.asarray(film.convert("L"))
    assert last[-1].max() < 20
    assert last[0].min() > 235


def test_drawings_share_the_window() -> None:
    surface, points = Figure().subplots(1, 2)
    draw_surface(surface, np.zeros((8, 8), np.uint8), (-1, 1, 0, 2))
    draw_points(points, np.zeros((5, 2)), (-1, 1, 0, 2))
    for axes in (surface, points):
        assert axes.get_xlim() == (-1, 1)
        assert axes.get_ylim() == (0, 2)
