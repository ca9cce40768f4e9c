"""What is chosen for collections that nobody has seen before: it must fit, be of a sane size, and be explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.errors import UsageError
from striate.hierarchy import Choice, Description, Hierarchy, SparseCodes, choose, describe
from striate.hierarchy.presets import mirrored, name_of_path
from striate.images import Preprocessing, as_images, load_mnist_digits
from striate.recognition import ImageClassifier
from tests.recognition.digits import digits

SIZES = [(16, 16), (28, 28), (32, 32), (64, 64), (200, 300), (8, 8), (4, 40), (40, 4), (12, 2000), (4000, 6000)]


def description(
    height: int = 28,
    width: int = 28,
    *,
    n_classes: int = 10,
    per_class: int = 100,
    one_size: bool = True,
    colored: bool = False,
    plain_ground: bool = False,
) -> Description:
    n = n_classes * per_class
    return Description(n, n, n_classes, height, width, max(height, width), one_size, colored, plain_ground)


def n_features(choice: Choice) -> int:
    return int(np.prod(choice.hierarchy.output_shape(choice.preprocessing.shape)))


def assert_sound(choice: Choice) -> None:
    n = n_features(choice)
    assert 250 <= n <= 20_000
    assert len(choice.learners) == len(choice.hierarchy.filter_banks) == 2
    assert len(set(choice.reasons)) == len(choice.reasons) >= 5
    assert all(reason and "\n" not in reason for reason in choice.reasons)
    height, width = choice.preprocessing.canvas
    assert f"a canvas of {width}×{height}" in choice.reasons[0]
    size = choice.hierarchy.filter_banks[0].size
    assert any(f"filters of {size[0]}×{size[1]}" in reason for reason in choice.reasons)
    assert any(f"{n:,} features per image" in reason for reason in choice.reasons)


@pytest.mark.parametrize("size", SIZES)
def test_every_choice_fits_and_is_explained(size: tuple[int, int]) -> None:
    numbers = product([2, 10, 257], [5, 100, 5000])
    for (n_classes, per_class), flags in product(numbers, product([False, True], repeat=3)):
        one_size, colored, plain_ground = flags
        seen = description(
            *size,
            n_classes=n_classes,
            per_class=per_class,
            one_size=one_size,
            colored=colored,
            plain_ground=plain_ground,
        )
        choice = choose(seen, system="hierarchy")
        assert_sound(choice)
        assert choice.preprocessing.contrast == ("ground" if plain_ground else "local")
        assert choice.preprocessing.color == ("yuv" if colored and max(size) <= 100 else "grey")


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 300) | st.integers(1, 10_000),
    width=st.integers(1, 300) | st.integers(1, 10_000),
    one_size=st.booleans(),
)
def test_no_size_is_left_without_an_architecture(height: int, width: int, one_size: bool) -> None:
    choice = choose(description(height, width, one_size=one_size), system="hierarchy")
    assert_sound(choice)
    # An image of that shape, larger ones reduced, comes out as the hierarchy takes it.
    picture = np.zeros((1, min(height, 200), min(width, 200)), np.float32)
    assert choice.preprocessing(picture).shape == choice.preprocessing.shape


def test_what_the_talk_and_the_papers_use() -> None:
    photographs = choose(description(200, 300, one_size=False, colored=True), system="hierarchy")
    assert photographs.preprocessing == Preprocessing(canvas=(151, 151))
    assert str(photographs.hierarchy).startswith("64F9x9 - Rabs - N - PA10x10/5 - ")
    handwriting = choose(description(plain_ground=True)).preprocessing
    assert handwriting == Preprocessing(canvas=(28, 28), contrast="ground", border=5)


def test_paths_suit_the_images() -> None:
    photographs = choose(description(200, 300, one_size=False, colored=True))
    assert photographs.preprocessing == Preprocessing(canvas=(300, 300), color="rgb", contrast="none")
    assert str(photographs.hierarchy) == (
        "{PA3x3/3 - 800WP6x6/2 - GA4 - ROOT - Z | "
        "GREY - PA2x2/2 - LCN - 64F9x9 - Rabs - N - PA10x10/5 - 256F5x5 - Rabs - N - PA6x6/4 - Z | "
        "GREY - PA3x3/3 - HOG8 - Z | GREY - SIFT32x32/8 - 1024SC - PM1+2+4 | GREY - SIFT16x16/6 - 1024SC - PM1+2+4}"
    )
    assert len(photographs.learners) == 2
    small = choose(description(32, 32, colored=True))
    assert small.preprocessing == Preprocessing(canvas=(32, 32), color="rgb", contrast="none")
    assert [name_of_path(path) for path in small.hierarchy.layers[0].hierarchies] == [
        "whitened patches",
        "stages of filters",
        "oriented gradients",
    ]
    assert str(small.hierarchy).startswith("{800WP6x6 - GA9 - PA3x3/2 - ROOT - Z | ")
    icons = choose(description(32, 32, colored=True, plain_ground=True))
    assert icons.preprocessing == Preprocessing(canvas=(32, 32), color="rgb", contrast="ground", border=5)
    assert "LCN" not in str(icons.hierarchy)


def test_sizes_of_sift_suit_photographs_and_the_allowed_time() -> None:
    def names(n_images: int, longest: int, minutes: float) -> list[str]:
        seen = replace(description(longest * 2 // 3, longest), n_images=n_images, n_labeled=100)
        (paths,) = choose(seen, minutes=minutes).hierarchy
        return [name_of_path(path) for path in paths.hierarchies[3:]]

    large, small = "sparse codes of SIFT of 32×32", "sparse codes of SIFT of 16×16"
    assert names(1000, 300, 5.0) == [large, small]
    assert names(7000, 300, 5.0) == [large]
    assert names(7000, 300, 30.0) == [large, small]
    assert names(20_000, 300, 5.0) == []
    assert names(4000, 144, 5.0) == [small]


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 300) | st.integers(1, 10_000),
    width=st.integers(1, 300) | st.integers(1, 10_000),
    one_size=st.booleans(),
    colored=st.booleans(),
    plain_ground=st.booleans(),
)
def test_paths_fit_images_of_any_size(
    height: int, width: int, one_size: bool, colored: bool, plain_ground: bool
) -> None:
    seen = description(height, width, one_size=one_size, colored=colored, plain_ground=plain_ground)
    choice = choose(seen)
    assert 10_000 <= n_features(choice) <= 80_000
    assert mirrored(choice.hierarchy).output_shape(choice.preprocessing.shape) == (n_features(choice), 1, 1)
    assert len(choice.learners) == len(choice.hierarchy.filter_banks) == 2
    assert len(set(choice.reasons)) == len(choice.reasons) >= 5
    picture = np.zeros((1, min(height, 200), min(width, 200)), np.float32)
    assert choice.preprocessing(picture).shape == choice.preprocessing.shape


def test_sparse_codes_of_many_photographs_need_more_minutes() -> None:
    many = description(200, 300, n_classes=400, per_class=24)
    assert not any(isinstance(layer, SparseCodes) for path in paths_of(choose(many)) for layer in path)
    assert any("more time than the 5 minutes" in reason for reason in choose(many).reasons)
    assert any(isinstance(layer, SparseCodes) for path in paths_of(choose(many, minutes=30)) for layer in path)


def test_many_labels_get_two_stages() -> None:
    assert len(choose(description(28, 28, per_class=1001)).hierarchy.stages) == 2


def paths_of(choice: Choice) -> Sequence[Hierarchy]:
    return choice.hierarchy.layers[0].hierarchies


def test_sift_is_chosen_by_name() -> None:
    named = choose(description(200, 300, one_size=False, colored=True), system="scspm")
    assert str(named.hierarchy) == "SIFT16x16/6 - 1024SC - PM1+2+4"
    assert named.preprocessing == Preprocessing(canvas=(300, 300), contrast="none")
    assert not named.learners
    given = choose(description(28, 28), hierarchy=Hierarchy("SIFT16x16/6 - 50SC - PM1+2+4"))
    assert given.preprocessing == Preprocessing(canvas=(64, 64), contrast="none")
    assert choose(description(28, 28), system="scspm").preprocessing == given.preprocessing


def test_small_images_of_one_size_keep_their_shape_where_two_stages_fit() -> None:
    assert choose(description(16, 32)).preprocessing.canvas == (16, 32)
    assert choose(description(15, 32)).preprocessing.canvas == (32, 32)
    assert choose(description(16, 32, one_size=False)).preprocessing.canvas == (32, 32)


def test_large_features_are_told() -> None:
    few, many = choose(description(40, 40, per_class=10)), choose(description(40, 40, n_classes=257, per_class=5000))
    assert n_features(many) < n_features(few)  # labels teach what features would
    gigabytes = 4e-9 * n_features(many) * 257 * 5000
    assert f"take {gigabytes:.1f} GB" in many.reasons[-1]
    assert not any("GB" in reason for reason in few.reasons)


def test_what_is_given_is_not_chosen() -> None:
    seen = description(200, 300, colored=True)
    given_hierarchy = Hierarchy("5F5x5 - Rabs - PA4x4/4 - 6F3x3 - Rabs - 7F3x3")
    choice = choose(seen, hierarchy=given_hierarchy)
    assert choice.hierarchy is given_hierarchy
    assert len(choice.learners) == 3
    assert choice.preprocessing == choose(seen, system="hierarchy").preprocessing
    assert not any("10×10" in reason for reason in choice.reasons)
    # An architecture is chosen for the canvas that was given, not for the size of the images.
    for canvas in [(20, 20), (28, 28), (48, 64), (151, 100)]:
        small = Preprocessing(canvas=canvas, color="yuv")
        choice = choose(seen, preprocessing=small)
        assert choice.preprocessing == small
        assert n_features(choice) >= 250


# What is seen.


def test_a_collection_is_described() -> None:
    images, labels = load_mnist_digits()
    names = [str(label) if label < 3 else "" for label in labels]
    seen = describe(as_images(images, names))
    assert seen == Description(5000, 1500, 3, 28, 28, 28, one_size=True, colored=False, plain_ground=True)


def test_sizes_are_medians(rng: np.random.Generator) -> None:
    shapes = [(10, 30), (12, 20), (50, 14)]
    seen = describe(as_images([rng.random(shape).astype(np.float32) for shape in shapes]))
    assert (seen.height, seen.width, seen.longest, seen.one_size) == (12, 20, 30, False)
    assert (seen.colored, seen.plain_ground) == (False, False)


def test_color_counts_from_a_tenth_of_the_images_on(rng: np.random.Generator) -> None:
    grey = np.repeat(rng.random((20, 1, 8, 8), dtype=np.float32), 3, axis=1)  # stored with three equal channels
    for n_colored, expected in ((0, False), (1, False), (2, True)):
        images = grey.copy()
        images[:n_colored] = rng.random((n_colored, 3, 8, 8))
        assert describe(as_images(images)).colored == expected


def test_unreadable_images_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match="none of the images that were tried can be read"):
        describe(as_images(tmp_path))
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(tmp_path / "1.png")
    assert replace(describe(as_images(tmp_path)), n_images=1) == describe(as_images(tmp_path / "1.png"))


# From images to classes with nothing but the preset.


def learns(train: tuple[list[np.ndarray], list[int]], test: tuple[list[np.ndarray], list[int]]) -> ImageClassifier:
    classifier = ImageClassifier(learner="random", weight_decay=1e-2, random_state=0).fit(*train)
    chance = max(np.bincount(test[1])) / len(test[1])
    accuracy = classifier.score(*test)
    # Three standard errors above chance.
    assert accuracy > chance + 3 * np.sqrt(chance * (1 - chance) / len(test[1]))
    return classifier


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("side", [16, 28])
def test_icons_and_digits(side: int) -> None:
    def pictures(first: int) -> tuple[list[np.ndarray], list[int]]:
        images, labels = digits([0, 1, 2, 3], 8, first=first)
        return [resized(image, side, side) for image in images], labels.tolist()

    classifier = learns(pictures(0), pictures(100))
    assert classifier.preprocessing_.canvas == (side, side)
    assert classifier.preprocessing_.contrast == "ground"


def crops(
    names: list[str], height: int, width: int, rng: np.random.Generator
) -> tuple[list[list[np.ndarray]], list[list[int]]]:
    """Random crops of photographs, of the left half to train with and of the right half to test; classes by photo."""
    data = pytest.importorskip("skimage.data")
    found: list[list[np.ndarray]] = [[], []]
    labels: list[list[int]] = [[], []]
    for number, name in enumerate(names):
        photograph = getattr(data, name)()
        middle = photograph.shape[1] // 2
        for part, half in enumerate((photograph[:, :middle], photograph[:, middle:])):
            for _ in range(8):
                top = rng.integers(half.shape[0] - height + 1)
                left = rng.integers(half.shape[1] - width + 1)
                found[part].append(half[top : top + height, left : left + width])
                labels[part].append(number)
    return found, labels


def test_colored_thumbnails(rng: np.random.Generator) -> None:
    (train, test), (train_labels, test_labels) = crops(["astronaut", "coffee", "chelsea"], 128, 128, rng)
    classifier = learns(
        ([resized(image, 32, 32) for image in train], train_labels),
        ([resized(image, 32, 32) for image in test], test_labels),
    )
    assert (classifier.preprocessing_.canvas, classifier.preprocessing_.color) == ((32, 32), "yuv")


def test_photographs(rng: np.random.Generator) -> None:
    (train, test), (train_labels, test_labels) = crops(["brick", "grass", "gravel"], 170, 130, rng)
    classifier = learns((train, train_labels), (test, test_labels))
    assert classifier.preprocessing_ == Preprocessing(canvas=(151, 151))
