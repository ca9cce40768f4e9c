from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.images import Preprocessing
from striate.retrieval import ImageIndex, PictureEncoder, fit_projection, near_copies
from striate.retrieval.copies import MIN_CORRELATION, correlation_of_copies, small_versions


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Smooth random pictures, 1/f, of 180 × 120."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(180), np.fft.fftfreq(120)))
    frequency[0, 0] = 1
    paths = []
    for number in range(6):
        noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((120, 180))) / frequency).real
        noise = 128 + 50 * (noise - noise.mean()) / noise.std()
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def correlation(one: Path, other: Path) -> float:
    versions = [small_versions(path) for path in (one, other)]
    assert versions[0] is not None
    assert versions[1] is not None
    return correlation_of_copies(versions[0], versions[1])


@pytest.mark.parametrize("change", ["smaller", "compressed", "darker", "cut by a twentieth", "cut on the left"])
def test_copies_correlate(change: str, photographs: list[Path], tmp_path: Path) -> None:
    for path in photographs:
        with Image.open(path) as picture:
            if change == "smaller":
                changed = picture.resize((90, 60))
            elif change == "darker":
                changed = picture.point(lambda value: value * 0.6)
            elif change.startswith("cut by"):
                changed = picture.crop((5, 3, 175, 117))
            elif change.startswith("cut on"):
                changed = picture.crop((9, 6, 180, 120))
            else:
                changed = picture.copy()
            changed.save(tmp_path / "copy.jpg", quality=30 if change == "compressed" else 90)
        assert correlation(path, tmp_path / "copy.jpg") > MIN_CORRELATION
        assert correlation(tmp_path / "copy.jpg", path) > MIN_CORRELATION


def test_different_pictures_do_not(photographs: list[Path]) -> None:
    assert max(correlation(one, other) for one in photographs for other in photographs if one < other) < 0.5


def test_the_same_picture_correlates_fully(photographs: list[Path]) -> None:
    assert correlation(photographs[0], photographs[0]) == pytest.approx(1, abs=1e-4)


def test_blank_pages_are_copies_of_each_other_alone(photographs: list[Path], tmp_path: Path) -> None:
    for name, shade in (("white.png", 255), ("grey.png", 200)):
        Image.new("L", (80, 100), shade).save(tmp_path / name)
    assert correlation(tmp_path / "white.png", tmp_path / "grey.png") == 1
    assert correlation(tmp_path / "white.png", photographs[0]) < 0.5


def test_codes_propose_and_pixels_decide(photographs: list[Path], tmp_path: Path) -> None:
    with Image.open(photographs[1]) as picture:
        picture.resize((120, 80)).save(tmp_path / "copy of 1.jpg")

    def alike(pictures: np.ndarray) -> np.ndarray:
        return np.ones((len(pictures), 2))  # every picture has the same code

    projection = fit_projection(np.random.default_rng(0).standard_normal((9, 2)), 32, random_state=0)
    index = ImageIndex(PictureEncoder(Preprocessing((32, 32)), alike, projection), str(tmp_path))
    index.update(tmp_path)
    groups = [[index.items.name(row) for row in group] for group in near_copies(index)]
    assert groups == [["1.png", "copy of 1.jpg"]]
    photographs[1].unlink()
    assert near_copies(index) == []
    assert small_versions(photographs[1]) is None
