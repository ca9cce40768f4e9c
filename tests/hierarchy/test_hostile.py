"""Whatever is written or given: an architecture runs, or one sentence says what is wrong with it."""

# mypy: disable-error-code="arg-type"
# Arguments of wrong types are what is tested.

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.hierarchy import (
    DenseSIFT,
    FilterBank,
    GridPooling,
    Hierarchy,
    HighPass,
    LocalContrastNormalization,
    Macrofeatures,
    PatchDictionary,
    Pooling,
    Rectification,
    SparseCodes,
    learn_filters,
    parse_notation,
)
from striate.learning import PSD, RandomFilters

NUMBER = st.one_of(
    st.integers(0, 40).map(str), st.sampled_from(["007", "4096", "65537", "99999999", "9" * 30, "٣", "-1"])
)
PART = st.one_of(
    st.builds("{}F{}x{}".format, NUMBER, NUMBER, NUMBER),
    st.builds("{}F{}x{}:{}S".format, NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds("P{}{}x{}/{}".format, st.sampled_from("AMX"), NUMBER, NUMBER, NUMBER),
    st.builds("{}{}x{}".format, st.sampled_from(["N", "HP", "MF", "SIFT"]), NUMBER, NUMBER),
    st.builds("{}{}x{}/{}".format, st.sampled_from(["MF", "SIFT"]), NUMBER, NUMBER, NUMBER),
    st.builds("{}SC{}".format, NUMBER, st.sampled_from(["", "0", "0.0", "0.15", "1e5", "9" * 400])),
    st.builds(
        "{}WP{}x{}/{}{}".format, NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from(["", "T", "S0.3:random", "T:x"])
    ),
    st.builds(
        "{}WP6x6{}".format,
        NUMBER,
        st.sampled_from(["", "S", "S1e5", "S999999.5", "TS1", ":sparse", ":psd", ":omp", ":kmeans"]),
    ),
    st.builds("G{}{}".format, st.sampled_from("AMX"), NUMBER),
    st.sampled_from(["Rabs", "N", "HP", "PM1+2+4", "PM1", "", "\x00", "\u202e8F5x5"]),
    st.text(max_size=12),
)
TEXT = st.one_of(st.lists(PART, max_size=6).map(" - ".join), st.lists(PART, max_size=3).map("".join), st.text())


@settings(max_examples=400, deadline=None)
@given(TEXT)
def test_notation_is_read_or_refused(text: str) -> None:
    try:
        hierarchy = Hierarchy(text)
    except UsageError as error:
        written = str(error)
    else:
        written = str(Hierarchy(str(hierarchy)))
        assert written == str(hierarchy)
    assert written.isprintable()


@settings(max_examples=150, deadline=None)
@given(TEXT, st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)))
def test_every_shape_fits_or_is_refused(text: str, shape: tuple[int, int, int]) -> None:
    try:
        shapes = Hierarchy(text).shapes(shape)
    except UsageError:
        return
    assert all(min(sides) >= 1 and all(type(side) is int for side in sides) for sides in shapes)


@pytest.mark.parametrize(
    ("notation", "quoted"),
    [
        ("8F0x0", "'8F0x0' is not possible: FilterBank: size"),
        ("0F5x5", "'0F5x5' is not possible: FilterBank: n_maps is 0"),
        ("8F5x5:0", "'8F5x5:0' is not possible: FilterBank: fan_in is 0"),
        ("99999999F9x9", "'99999999F9x9' is not possible: FilterBank: n_maps is 99999999"),
        ("8F5x5 - PA1000000x1000000/1", "'PA1000000x1000000/1', layer 2 of 2, is not possible: Pooling: size"),
        ("Rabs - PA2x2/0", "'PA2x2/0', layer 2 of 2, is not possible: Pooling: stride is 0"),
        ("Rabs - N4x4 - Rabs", "'N4x4', layer 2 of 3, is not possible: LocalContrastNormalization: size is 4"),
        ("HP0x0", "'HP0x0' is not possible: HighPass: size is 0"),
        ("SIFT15x15/6", "'SIFT15x15/6' is not possible: DenseSIFT: size is 15"),
        ("8WP1x1", "'8WP1x1' is not possible: PatchDictionary: size is 1"),
        ("GA0", "'GA0' is not possible: GridPooling: cells is 0"),
        ("8SC0", "'8SC0' is not possible: SparseCodes: sparsity is 0"),
        ("8F5x5 - " + "9" * 5000 + "SC", "characters is too long"),
        ("9" * 900 + "SC", "is not a layer of a hierarchy"),
        ("", "an architecture is ''"),
    ],
)
def test_a_layer_that_cannot_be_is_quoted(notation: str, quoted: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_notation(notation)
    assert quoted in str(caught.value)


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("8F5x3", "'8F5x3', layer 1 of 1, cannot be learned, since patches are square: write 8F5x5"),
        ("8F3x3 - 4F2x3:2S", "'4F2x3:2S', layer 2 of 2, .* write 4F3x3:2S"),
        ("16SC", "'16SC', layer 1 of 1, codes what several maps have at a position"),
        ("N - 16SC", "'16SC', layer 2 of 2, codes what several maps"),
        ("65536F9x9 - 65536F9x9", "layer 2 of 2"),
        ("60000F1x1 - MF8x8/1 - MF8x8/1", "layer 2 of 3"),
        ("8F5x5 - PA40x40/1", r"needs maps of at least 40 pixels, but gets 16.*layer 2 of 2"),
    ],
)
def test_what_cannot_be_learned_is_told_first(notation: str, message: str, rng: np.random.Generator) -> None:
    images = rng.random((4, 1, 20, 20), dtype=np.float32)
    with pytest.raises(UsageError, match=message):
        learn_filters(Hierarchy(notation), images, learners=RandomFilters())


ONE = np.random.default_rng(1).random((6, 1, 16, 16), dtype=np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_patches": 0}, "n_patches is 0"),
        ({"n_patches": 1.5}, "n_patches is 1.5"),
        ({"min_std": -1}, "min_std is -1"),
        ({"min_std": "little"}, "min_std is 'little'"),
        ({"random_state": -1}, "random_state is -1"),
        ({"learners": PSD}, "a learner of filters is"),
        ({"learners": [PSD(), PSD()]}, "2 learners for 1 filter banks"),
        ({"images": np.full((3, 1, 16, 16), np.nan, np.float32)}, "NaN or infinity, first in sample 0"),
        ({"images": ONE[:, 0]}, "images\\[:, np.newaxis\\]"),
        ({"images": ONE[:0]}, "no images"),
        ({"images": np.zeros((3, 1, 16, 16), np.float32)}, "nothing to learn from: the images are flat"),
        ({"hierarchy": "4F5x5"}, "a Hierarchy, not for '4F5x5'"),
    ],
)
def test_learning_checks_what_it_is_given(options: dict[str, Any], message: str) -> None:
    given_all = {"hierarchy": Hierarchy("4F5x5"), "images": ONE, "learners": RandomFilters(), **options}
    with pytest.raises(UsageError, match=message):
        learn_filters(given_all.pop("hierarchy"), given_all.pop("images"), **given_all)


def test_numbers_of_numpy_are_taken_as_numbers() -> None:
    given = [
        FilterBank(np.int64(4), (np.int32(5), np.uint8(5)), fan_in=np.int16(1)),
        Pooling("max", np.int64(2), np.uint8(1)),
        LocalContrastNormalization(np.int64(5)),
        HighPass(np.int32(7)),
        DenseSIFT(np.int64(8), np.int8(4), np.float32(0.5)),
        Macrofeatures(np.int64(2), np.uint16(1)),
        SparseCodes(np.int64(4), np.float32(0.5)),
        PatchDictionary(np.int64(4), np.uint8(6), threshold=np.float32(0.25)),
        GridPooling("max", np.int64(2)),
    ]
    meant = [
        FilterBank(4, (5, 5), fan_in=1), Pooling("max", 2, 1), LocalContrastNormalization(5), HighPass(7),
        DenseSIFT(8, 4, 0.5), Macrofeatures(2, 1), SparseCodes(4, 0.5),
        PatchDictionary(4, 6, threshold=0.25), GridPooling("max", 2),
    ]  # fmt: skip
    assert Hierarchy(given).to_state()[1] == Hierarchy(meant).to_state()[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda wrong: FilterBank(wrong, (5, 5)),
        lambda wrong: FilterBank(4, wrong),
        lambda wrong: FilterBank(4, (5, 5), fan_in=wrong),
        lambda wrong: FilterBank(4, (5, 5), nonlinearity=wrong),
        lambda wrong: FilterBank(1, (2, 2), filters=wrong),
        lambda wrong: FilterBank(1, (2, 2), filters=np.ones((1, 1, 2, 2)), bias=wrong),
        lambda wrong: FilterBank(1, (2, 2), filters=np.ones((1, 1, 2, 2)), table=wrong),
        lambda wrong: Pooling(wrong, 2, 2),
        lambda wrong: Pooling("max", wrong, 2),
        lambda wrong: Pooling("max", 2, wrong),
        lambda wrong: LocalContrastNormalization(wrong),
        lambda wrong: HighPass(wrong),
        lambda wrong: DenseSIFT(wrong),
        lambda wrong: DenseSIFT(16, wrong),
        lambda wrong: DenseSIFT(16, 8, wrong),
        lambda wrong: Macrofeatures(wrong),
        lambda wrong: Macrofeatures(2, wrong),
        lambda wrong: SparseCodes(wrong),
        lambda wrong: SparseCodes(4, wrong),
        lambda wrong: SparseCodes(4, 0.1, wrong),
        lambda wrong: PatchDictionary(wrong, 6),
        lambda wrong: PatchDictionary(4, wrong),
        lambda wrong: PatchDictionary(4, 6, step=wrong),
        lambda wrong: PatchDictionary(4, 6, response=wrong),
        lambda wrong: PatchDictionary(4, 6, learner=wrong),
        lambda wrong: PatchDictionary(4, 6, units=wrong),
        lambda wrong: GridPooling(wrong, 3),
        lambda wrong: GridPooling("max", wrong),
        lambda wrong: Hierarchy([Rectification(), wrong]),
    ],
)
@pytest.mark.parametrize("wrong", ["many", -1, 0, 1.5j, float("nan"), True, [], {}, object()])
def test_wrong_parameters_of_layers_are_named(make: Callable[[Any], object], wrong: object) -> None:
    with pytest.raises(UsageError):
        make(wrong)


def test_layers_that_no_file_holds_are_refused() -> None:
    class Twice(Rectification):
        pass

    with pytest.raises(UsageError, match="layer 2, Rabs, is a Twice, which a model file cannot hold"):
        Hierarchy([Rectification(), Twice()]).to_state()


def filled() -> Hierarchy:
    rng = np.random.default_rng(2)
    bank = FilterBank(3, (3, 3), filters=rng.standard_normal((3, 1, 3, 3)))
    return Hierarchy([bank, *Hierarchy("Rabs - N5x5 - PA2x2/2").layers])


def big_endian(images: np.ndarray) -> np.ndarray:
    return images.astype(">f4")


def strided(images: np.ndarray) -> np.ndarray:
    return np.repeat(images, 2, axis=3)[..., ::2]


def reversed_twice(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images[::-1, :, ::-1])[::-1, :, ::-1]


def fortran(images: np.ndarray) -> np.ndarray:
    return np.asfortranarray(images)


def read_only(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images.flags.writeable = False
    return images


def unaligned(images: np.ndarray) -> np.ndarray:
    raw = np.empty(images.nbytes + 1, np.uint8)
    there = raw[1:].view(np.float32).reshape(images.shape)
    there[...] = images
    return there


def as_list(images: np.ndarray) -> Any:
    return images.tolist()


def double(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float64)


FORMS = [big_endian, strided, reversed_twice, fortran, read_only, unaligned, as_list, double]


@pytest.mark.parametrize("form", FORMS, ids=[form.__name__ for form in FORMS])
def test_every_layout_gives_the_same_features(form: Callable[[np.ndarray], Any]) -> None:
    np.testing.assert_array_equal(filled().transform(form(ONE)), filled().transform(ONE))


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int16, np.bool_])
def test_small_types_are_computed_with_as_float32(dtype: Any) -> None:
    images = (200 * ONE).astype(dtype)
    np.testing.assert_array_equal(filled().transform(images), filled().transform(images.astype(np.float32)))


def test_memory_maps_are_images(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", ONE)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(filled().transform(mapped), filled().transform(ONE))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (ONE.astype(np.complex64), "images must be real numbers, not complex64"),
        (np.zeros((1, 1, 16, 16), "M8[s]"), "not datetime64"),
        (np.zeros((1, 1, 16, 16), "m8[s]"), "not timedelta64"),
        (np.full((1, 1, 16, 16), "x"), "not <U1"),
        (np.full((1, 1, 16, 16), None), "not object"),
        ([[1, 2], [3]], "one array"),
        (ONE[:, 0], r"give images\[:, np.newaxis\]"),
        (np.where(np.arange(16) == 3, np.nan, ONE), "images hold NaN or infinity, first in sample"),
        (np.full((1, 1, 16, 16), np.inf), "images hold NaN or infinity, first in sample 0"),
        (np.full((1, 1, 16, 16), 1e300), "images hold NaN or infinity, first in sample 0"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        filled().transform(images)


@pytest.mark.parametrize("shape", [(28, 28), (5, 28), (1, 1, 28, 28), (1, 0, 5), (1, 2.5, 3), "abc", None, 5])
def test_the_shape_of_an_image_is_asked_for(shape: Any) -> None:
    for ask in (Hierarchy("Rabs").shapes, Hierarchy([]).output_shape):
        with pytest.raises(UsageError, match=r"it must be|\(channels, height, width\) is needed"):
            ask(shape)


def test_dim_images_teach_the_same_filters() -> None:
    """min_std is for images of full contrast; others differ from them by a factor, which RandomFilters undo."""
    strokes = np.where(ONE > 0.8, ONE, 0)
    bright, dim = (
        learn_filters(Hierarchy("4F5x5"), images, learners=RandomFilters(), random_state=0)[1][0].patches
        for images in (strokes, strokes / 64)
    )
    np.testing.assert_allclose(dim * 64, bright, rtol=1e-6)
