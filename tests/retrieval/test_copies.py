from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from striate.errors import UsageError
from striate.images import Preprocessing
from striate.retrieval import ImageEncoder, ImageIndex, fit_projection, linked_names, near_copies
from striate.retrieval.copies import MIN_SIMILARITY
from striate.retrieval.pixels import agreement, sketch, viewed


def noise(seed: int, size: tuple[int, int] = (180, 120)) -> Image.Image:
    """A smooth random photograph, 1/f."""
    rng = np.random.default_rng(seed)
    width, height = size
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    frequency[0, 0] = 1
    values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / frequency).real
    values = 128 + 50 * (values - values.mean()) / values.std()
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def form(seed: int, *, few: bool = False) -> Image.Image:
    """An invoice that was filled in at random; where few fields differ, in its number, date and total alone."""
    rng = np.random.default_rng(7 if few else seed)
    own = np.random.default_rng(seed)
    page = Image.new("RGB", (700, 990), "white")
    draw = ImageDraw.Draw(page)

    def write(x: int, y: int, text: str, size: int = 15) -> None:
        draw.text((x, y), text, fill="black", font=ImageFont.load_default(size))

    draw.rectangle((30, 30, 200, 90), fill=(30, 60, 140))
    write(320, 40, "ACME GmbH", 28)
    words = ["paper", "cable", "lamp", "table", "screw", "service", "printer", "toner", "wood", "paint"]
    for row in range(3):
        write(40, 130 + 22 * row, " ".join(rng.choice(words, 2)))
    write(420, 130, f"Invoice {own.integers(10_000, 99_999)}", 18)
    write(420, 160, f"Date {own.integers(10, 29)}.{own.integers(10, 13)}.20{own.integers(10, 30)}")
    for row in range(9):
        draw.line((30, 260 + 50 * row, 670, 260 + 50 * row), fill="black")
        if row < 8:
            write(40, 272 + 50 * row, f"{rng.integers(1, 99)}  {' '.join(rng.choice(words, 3))}")
            write(540, 272 + 50 * row, f"{rng.integers(1, 9999)},{rng.integers(10, 99)}")
    write(480, 690, f"Total {own.integers(100, 9999)},{own.integers(10, 99)} EUR", 20)
    write(40, 930, "Payable within 14 days. IBAN DE12 3456 7890 1234 5678 90", 12)
    return page


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.png")
        noise(number).save(paths[-1])
    return paths


def similarity(one: Path, other: Path) -> float:
    first, second = sketch(one), sketch(other)
    assert first is not None
    assert second is not None
    return agreement(first, second)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda one: one.resize((one.width // 2, one.height // 2)),
    "larger": lambda one: one.resize((2 * one.width, 2 * one.height)),
    "squeezed": lambda one: one.resize((one.width, one.height * 4 // 5)),
    "compressed": lambda one: one.copy(),
    "darker": lambda one: one.point(lambda value: value * 0.6),
    "in color": lambda one: one.convert("RGB"),
    "cut by a twentieth": lambda one: one.crop(
        (one.width // 36, one.height // 40, 35 * one.width // 36, 39 * one.height // 40)
    ),
    "cut on the left": lambda one: one.crop((one.width // 20, one.height // 20, *one.size)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_similar(change: str, photographs: list[Path], tmp_path: Path) -> None:
    form(3).save(tmp_path / "form.png")
    for path in (*photographs, tmp_path / "form.png"):
        with Image.open(path) as picture:
            CHANGES[change](picture).save(tmp_path / "copy.jpg", quality=30 if change == "compressed" else 90)
        assert similarity(path, tmp_path / "copy.jpg") > MIN_SIMILARITY
        assert similarity(tmp_path / "copy.jpg", path) > MIN_SIMILARITY


def test_different_images_are_not(photographs: list[Path]) -> None:
    assert max(similarity(one, other) for one in photographs for other in photographs if one < other) < 0.3


def test_the_same_image_agrees_fully(photographs: list[Path]) -> None:
    assert similarity(photographs[0], photographs[0]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("quality", [None, 75])
def test_forms_that_were_filled_in_differently_are_no_copies(few: bool, quality: int | None, tmp_path: Path) -> None:
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.{'png' if quality is None else 'jpg'}")
        form(number, few=few).save(paths[-1], quality=quality or 75)  # of a PNG there is none
    assert max(similarity(one, other) for one in paths for other in paths if one < other) < MIN_SIMILARITY


def test_crops_of_one_texture_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grain = Image.fromarray(rng.integers(0, 256, (150, 150)).astype(np.uint8)).resize((600, 600))
    paths = []
    for number, (x, y) in enumerate(rng.integers(0, 344, (5, 2)).tolist()):
        paths.append(tmp_path / f"{number}.png")
        grain.crop((x, y, x + 256, y + 256)).save(paths[-1])
    assert max(similarity(one, other) for one in paths for other in paths if one < other) < 0.5


def test_images_of_one_color_are_copies_where_the_color_is_the_same(photographs: list[Path], tmp_path: Path) -> None:
    for name, color in (("black", "black"), ("white", "white"), ("grey", "grey"), ("red", "red"), ("blue", "blue")):
        Image.new("RGB", (96, 72), color).save(tmp_path / f"{name}.png")
    Image.new("RGB", (300, 200), "red").save(tmp_path / "large red.jpg")
    names = ("black", "white", "grey", "red", "blue")
    for one in names:
        for other in names:
            assert similarity(tmp_path / f"{one}.png", tmp_path / f"{other}.png") == (one == other)
        assert similarity(tmp_path / f"{one}.png", photographs[0]) == 0
    assert similarity(tmp_path / "red.png", tmp_path / "large red.jpg") == 1


def test_views() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((3, 40, 60), dtype=np.float32)
    mirrored = viewed(image, "mirrored")
    assert mirrored is not None
    np.testing.assert_array_equal(mirrored[:, :, 0], image[:, :, -1])
    assert viewed(image, "without border") is None
    framed = np.pad(image, ((0, 0), (5, 3), (0, 9)), constant_values=0.9)
    np.testing.assert_array_equal(viewed(framed, "without border"), image)
    assert viewed(np.ones((1, 20, 20), np.float32), "without border") is None


def alike(images: np.ndarray) -> np.ndarray:
    return np.ones((len(images), 2))  # every image has the same code


def index_of(folder: Path) -> ImageIndex:
    projection = fit_projection(np.random.default_rng(0).standard_normal((9, 2)), 32, random_state=0)
    index = ImageIndex(ImageEncoder(Preprocessing((32, 32)), alike, projection), str(folder))
    index.update(folder)
    return index


def names_of(index: ImageIndex, **options: object) -> list[list[str]]:
    return [[index.items.name(row) for row in group] for group in near_copies(index, **options)]  # type: ignore[arg-type]


def test_codes_propose_and_pixels_decide(photographs: list[Path], tmp_path: Path) -> None:
    with Image.open(photographs[1]) as picture:
        picture.resize((120, 80)).save(tmp_path / "copy of 1.jpg")
    index = index_of(tmp_path)
    (group,) = near_copies(index)
    assert [index.items.name(row) for row in group] == ["1.png", "copy of 1.jpg"]
    (pair,) = group.pairs
    assert (pair.first, pair.second, pair.how) == (*group, "as it is")
    assert pair.similarity == pytest.approx(similarity(photographs[1], tmp_path / "copy of 1.jpg"))
    assert group.pair(group[1], group[0]) == pair
    photographs[1].unlink()
    assert near_copies(index) == []
    assert sketch(photographs[1]) is None


def test_copies_are_found_among_many_with_one_code(tmp_path: Path) -> None:
    for number in range(40):
        noise(number, (60, 40)).save(tmp_path / f"{number:02}.png")
        Image.new("RGB", (60, 40), (6 * number, 0, 200)).save(tmp_path / f"flat {number:02}.png")
    noise(30, (60, 40)).save(tmp_path / "copy.jpg", quality=90)
    Image.new("RGB", (90, 90), (6 * 33, 0, 200)).save(tmp_path / "square.png")
    assert names_of(index_of(tmp_path)) == [["30.png", "copy.jpg"], ["flat 33.png", "square.png"]]


def test_links_to_one_file_are_no_copies(photographs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a link.png").symlink_to("2.png")
    os.link(tmp_path / "3.png", tmp_path / "z hard.png")
    (tmp_path / "by link").symlink_to(".")
    index = index_of(tmp_path)
    assert near_copies(index) == []
    with Image.open(photographs[2]) as picture:
        picture.save(tmp_path / "copy of 2.jpg", quality=90)
    index.update(tmp_path)
    (group,) = near_copies(index)
    assert [index.items.name(row) for row in group] == ["2.png", "copy of 2.jpg"]
    assert {index.items.name(row) for row in group.links[group[0]]} >= {"a link.png"}
    files = linked_names(index, range(len(index)))
    assert len(files) == 7
    assert all(not (tmp_path / index.items.name(row)).is_symlink() for row in files)


def test_mirrored_and_bordered_copies_where_they_are_asked_for(photographs: list[Path], tmp_path: Path) -> None:
    with Image.open(photographs[0]) as picture:
        ImageOps.mirror(picture).save(tmp_path / "mirrored.jpg", quality=90)
    with Image.open(photographs[1]) as picture:
        ImageOps.expand(picture, (30, 50), 255).save(tmp_path / "framed.jpg", quality=90)
        ImageOps.expand(picture.resize((90, 60)), (10, 30), 0).save(tmp_path / "screenshot.png")
    index = index_of(tmp_path)
    assert names_of(index) == []
    assert names_of(index, also=["mirrored"]) == [["0.png", "mirrored.jpg"]]
    assert names_of(index, also=["bordered"]) == [["1.png", "framed.jpg", "screenshot.png"]]
    groups = near_copies(index, also=("mirrored", "bordered"))
    assert [group.pairs[0].how for group in groups] == ["mirrored", "without border"]


@pytest.mark.parametrize(
    "options",
    [{"threshold": 32}, {"threshold": 1.5}, {"min_similarity": "much"}, {"min_similarity": 2}, {"also": ["x"]}],
)
def test_parameters_are_checked(options: dict[str, object], photographs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        near_copies(index_of(tmp_path), **options)  # type: ignore[arg-type]
