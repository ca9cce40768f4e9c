"""Every layer against the formula written out, borders included, and against an independent library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.encoders import SmoothShrinkageEncoder
from striate.errors import UsageError
from striate.hierarchy import (
    FilterBank,
    Hierarchy,
    HighPass,
    Layer,
    LocalContrastNormalization,
    Macrofeatures,
    Pooling,
    Rectification,
    SparseCodes,
    connection_sets,
    small_pixels,
)


def run(layer: Layer, images: np.ndarray) -> np.ndarray:
    """A layer on (n, maps, height, width), without the inner layout."""
    return Hierarchy([layer]).transform(images)


def correlate(images: np.ndarray, filters: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """The definition, loop by loop, in float64."""
    n_maps, fan_in, height, width = filters.shape
    n, _, image_height, image_width = images.shape
    out = np.zeros((n, n_maps, image_height - height + 1, image_width - width + 1))
    for k in range(n_maps):
        for j in range(fan_in):
            source = images[:, j if table is None else table[k, j]].astype(np.float64)
            for y in range(height):
                for x in range(width):
                    window = source[:, y : y + out.shape[2], x : x + out.shape[3]]
                    out[:, k] += filters[k, j, y, x] * window
    return out


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3),
    n_inputs=st.integers(1, 6),
    n_maps=st.integers(1, 7),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    sparse=st.booleans(),
    seed=st.integers(0, 10),
)
def test_filter_bank_is_correlation_then_tanh(
    n: int, n_inputs: int, n_maps: int, size: tuple[int, int], extra: tuple[int, int], sparse: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fan_in = int(rng.integers(1, n_inputs + 1)) if sparse else n_inputs
    table = np.stack([np.sort(rng.choice(n_inputs, fan_in, replace=False)) for _ in range(n_maps)]) if sparse else None
    filters = 0.3 * rng.standard_normal((n_maps, fan_in, *size), dtype=np.float32)
    bias, gain = rng.standard_normal((2, n_maps), dtype=np.float32)
    images = rng.standard_normal((n, n_inputs, size[0] + extra[0], size[1] + extra[1]), dtype=np.float32)
    bank = FilterBank(n_maps, size, fan_in if sparse else None).with_filters(filters, bias=bias, gain=gain, table=table)
    expected = gain[:, None, None] * np.tanh(correlate(images, filters, table) + bias[:, None, None])
    np.testing.assert_allclose(run(bank, images), expected, atol=2e-5)


def test_tiles_of_rows_join_without_a_seam(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    images = rng.standard_normal((2, 3, 20, 17), dtype=np.float32)
    bank = FilterBank(5, (4, 3)).with_filters(rng.standard_normal((5, 3, 4, 3), dtype=np.float32))
    whole = run(bank, images)
    monkeypatch.setattr("striate.hierarchy._stage._BLOCK_FLOATS", 3 * 15 * 32)
    np.testing.assert_allclose(run(bank, images), whole, atol=1e-5)


def test_filter_bank_agrees_with_torch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    images = rng.standard_normal((2, 4, 30, 33), dtype=np.float32)
    filters = rng.standard_normal((8, 4, 9, 9), dtype=np.float32) / np.float32(18)
    bank = FilterBank(8, (9, 9)).with_filters(filters)
    expected = torch.tanh(torch.nn.functional.conv2d(torch.from_numpy(images), torch.from_numpy(filters)))
    np.testing.assert_allclose(run(bank, images), expected.numpy(), atol=1e-5)


def test_shrinkage_is_soft_thresholding(rng: np.random.Generator) -> None:
    images = rng.standard_normal((2, 1, 6, 6), dtype=np.float32)
    threshold = np.array([0.5], dtype=np.float32)
    bank = FilterBank(1, (1, 1), nonlinearity="shrink").with_filters(
        np.ones((1, 1, 1, 1), np.float32), threshold=threshold
    )
    expected = np.sign(images) * np.maximum(np.abs(images) - 0.5, 0)
    np.testing.assert_allclose(run(bank, images), expected, atol=1e-6)


@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20),
    threshold=st.floats(0, 10, width=32),
    beta=st.floats(0.125, 1000, width=32),
)
def test_smooth_shrinkage_follows_its_formula(values: list[float], threshold: float, beta: float) -> None:
    images = np.array(values, np.float32).reshape(1, 1, 1, -1)
    bank = FilterBank(1, (1, 1), nonlinearity="smooth shrink").with_filters(
        np.ones((1, 1, 1, 1), np.float32), threshold=np.array([threshold]), beta=np.array([beta])
    )
    sizes = np.abs(images.astype(np.longdouble))
    corner = np.longdouble(beta) * np.longdouble(threshold)
    # Beyond the exponents of the type, the shrinkage is a soft one.
    with np.errstate(over="ignore"):
        rounded = np.log(np.expm1(beta * sizes) + np.exp(corner)) / beta - threshold
    expected = np.sign(images) * np.where(np.isfinite(rounded), rounded, np.maximum(sizes - threshold, 0))
    found = run(bank, images)
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-6, atol=2e-6)
    np.testing.assert_array_equal(run(bank, -images), -found)


def test_smooth_shrinkage_at_zero_and_far_away() -> None:
    images = np.array([0, -0.0, 1e30, -1e30], np.float32).reshape(1, 1, 1, -1)
    bank = FilterBank(1, (1, 1), nonlinearity="smooth shrink")
    one = np.ones((1, 1, 1, 1), np.float32)
    for threshold, beta in ((0, 1), (0.03, 160), (1, 0.01), (1e3, 1e3), (1, 1e30)):
        given = bank.with_filters(one, threshold=np.array([threshold]), beta=np.array([beta]))
        np.testing.assert_array_equal(run(given, images), images)
    for name, value in (("threshold", -0.1), ("beta", 0)):
        with pytest.raises(UsageError, match=f"{name} of smooth shrinkage is {value}; it must be at least"):
            bank.with_filters(one, **{name: np.array([value])})


def test_a_bank_without_filters_or_with_the_wrong_maps_says_so(rng: np.random.Generator) -> None:
    images = rng.standard_normal((1, 2, 9, 9), dtype=np.float32)
    with pytest.raises(UsageError, match="no filters yet"):
        run(FilterBank(4, (3, 3)), images)
    bank = FilterBank(4, (3, 3)).with_filters(np.zeros((4, 3, 3, 3), np.float32))
    with pytest.raises(UsageError, match="made for 3 maps, but 2 come in"):
        run(bank, images)
    with pytest.raises(UsageError, match="do not fit a bank"):
        FilterBank(4, (3, 3)).with_filters(np.zeros((4, 3, 5, 5), np.float32))
    with pytest.raises(UsageError, match="larger canvas"):
        run(FilterBank(4, (11, 11)).with_filters(np.zeros((4, 2, 11, 11), np.float32)), images)


def test_connection_sets_use_all_inputs_equally() -> None:
    sets = connection_sets(8, 64, 16, random_state=0)
    assert sets.shape == (8, 16)
    assert (np.bincount(sets.ravel(), minlength=64) == 2).all()
    assert all(len(set(row)) == 16 and (np.diff(row) > 0).all() for row in sets)
    with pytest.raises(UsageError, match="1 to 4 of the 4 maps"):
        connection_sets(2, 4, 5)


def test_rectification_takes_the_absolute_value(rng: np.random.Generator) -> None:
    images = rng.standard_normal((2, 3, 4, 5), dtype=np.float32)
    np.testing.assert_array_equal(run(Rectification(), images), np.abs(images))


def normalized(image: np.ndarray, size: int, sigma: float) -> np.ndarray:
    """Local contrast normalization of one image (maps, height, width), by its formula, pixel by pixel."""
    n_maps, height, width = image.shape
    radius = size // 2

    def window(y: int, x: int) -> tuple[slice, slice, np.ndarray]:
        rows = slice(max(0, y - radius), min(height, y + radius + 1))
        columns = slice(max(0, x - radius), min(width, x + radius + 1))
        dy = np.arange(rows.start, rows.stop)[:, None] - y
        dx = np.arange(columns.start, columns.stop)[None, :] - x
        weights = np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
        return rows, columns, weights / (weights.sum() * n_maps)

    centered, deviation = np.empty_like(image), np.empty((height, width))
    for y in range(height):
        for x in range(width):
            rows, columns, weights = window(y, x)
            centered[:, y, x] = image[:, y, x] - (weights * image[:, rows, columns]).sum()
    for y in range(height):
        for x in range(width):
            rows, columns, weights = window(y, x)
            deviation[y, x] = np.sqrt((weights * centered[:, rows, columns] ** 2).sum())
    return centered / np.maximum(deviation, deviation.mean())


@pytest.mark.parametrize("size", [1, 5, 9, 15])
def test_normalization_follows_the_formula_at_the_borders_too(rng: np.random.Generator, size: int) -> None:
    images = rng.gamma(1.0, size=(2, 3, 8, 11)).astype(np.float32)
    expected = np.stack([normalized(image.astype(np.float64), size, size * 1.591 / 9) for image in images])
    # Larger than the map, too. A window of one pixel and three maps is cross-map normalization alone.
    np.testing.assert_allclose(run(LocalContrastNormalization(size), images), expected, atol=1e-5)


def test_normalization_leaves_a_blank_image_blank() -> None:
    assert not run(LocalContrastNormalization(), np.zeros((1, 2, 12, 12), np.float32)).any()
    with pytest.raises(UsageError, match="odd"):
        LocalContrastNormalization(4)


def test_normalization_agrees_with_that_of_images(rng: np.random.Generator) -> None:
    from striate.images import local_contrast_normalization

    images = rng.standard_normal((2, 4, 20, 23), dtype=np.float32)
    expected = local_contrast_normalization(images, jointly=True)
    np.testing.assert_allclose(run(LocalContrastNormalization(9), images), expected, atol=1e-5)


@pytest.mark.parametrize(("how", "reduce"), [("average", np.mean), ("max", np.max)])
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 2), (3, 2), (5, 3), (7, 9)])
@pytest.mark.parametrize("n", [1, 3])
def test_pooling_by_hand(rng: np.random.Generator, how: str, reduce: object, size: int, stride: int, n: int) -> None:
    images = rng.standard_normal((n, 2, 11, 14), dtype=np.float32)
    pooled = run(Pooling(how, size, stride), images)  # type: ignore[arg-type]
    for i in range(pooled.shape[2]):
        for j in range(pooled.shape[3]):
            top, left = i * stride, j * stride
            window = images[:, :, top : top + size, left : left + size]
            np.testing.assert_allclose(pooled[:, :, i, j], reduce(window, axis=(2, 3)), atol=1e-6)  # type: ignore[operator]
    assert (pooled.shape[2] - 1) * stride + size <= 11 < pooled.shape[2] * stride + size


def test_small_pixels_average_blocks() -> None:
    images = np.arange(2 * 70 * 70, dtype=np.float32).reshape(2, 1, 70, 70)
    small = small_pixels(images)
    assert small.shape == (2, 1, 23, 23)
    assert small[1, 0, 2, 3] == pytest.approx(images[1, 0, 6:9, 9:12].mean())
    assert small_pixels(images[:, :, :28, :28]).shape == (2, 1, 28, 28)


@settings(max_examples=60, deadline=None)
@given(
    rest=st.sampled_from(
        [
            "Rabs - N5x5 - PA4x4/3",
            "Rabs - PA3x3/1",
            "N5x5 - PM4x4/2",
            "N3x3 - PA2x2/2",
            "PA5x5/5",
            "Rabs - N9x9",
            "PM3x3/4",
        ]
    ),
    n_inputs=st.integers(1, 5),
    n_maps=st.sampled_from([1, 5, 32, 40, 70]),
    sides=st.tuples(st.integers(7, 24), st.integers(7, 24)),
    nonlinearity=st.sampled_from(["", "S", "SS"]),
    n_sets=st.sampled_from([0, 1, 2, 70]),
    seed=st.integers(0, 10),
)
def test_a_stage_in_one_go_is_its_layers_one_by_one(
    rest: str, n_inputs: int, n_maps: int, sides: tuple[int, int], nonlinearity: str, n_sets: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fan_in = max(1, n_inputs // 2) if n_sets else n_inputs
    table = connection_sets(n_sets, n_inputs, fan_in, random_state=seed)[np.arange(n_maps) % n_sets] if n_sets else None
    filters = rng.standard_normal((n_maps, fan_in, 3, 2), dtype=np.float32)
    bias, gain = rng.standard_normal((2, n_maps), dtype=np.float32)
    bank, *others = Hierarchy(f"{n_maps}F3x2{f':{fan_in}' if n_sets else ''}{nonlinearity} - {rest}")
    assert isinstance(bank, FilterBank)
    threshold = np.abs(bias) if nonlinearity else None
    beta = 5 + np.abs(gain) if nonlinearity == "SS" else None
    bank = bank.with_filters(filters, bias=bias, gain=gain, threshold=threshold, beta=beta, table=table)
    images = rng.standard_normal((3, n_inputs, *sides), dtype=np.float32)
    expected = correlate(images, filters, table) + bias[:, None, None]
    if threshold is None:
        expected = np.tanh(expected)
    elif beta is not None:
        encoder = SmoothShrinkageEncoder().set_arrays(filters=np.eye(n_maps), beta=beta, bias=threshold)
        expected = np.moveaxis(
            encoder.encode(np.moveaxis(expected, 1, 3).reshape(-1, n_maps)).reshape(
                *expected.shape[:1], *expected.shape[2:], n_maps
            ),
            3,
            1,
        )
    else:
        expected = np.sign(expected) * np.maximum(np.abs(expected) - threshold[:, None, None], 0)
    expected = np.asarray(gain[:, None, None] * expected, np.float32)
    for layer in others:
        expected = run(layer, expected)
    np.testing.assert_allclose(Hierarchy([bank, *others]).transform(images), expected, atol=1e-4)


def test_a_table_of_all_inputs_in_another_order_is_followed(rng: np.random.Generator) -> None:
    table = np.array([[1, 0]] * 3)
    filters = rng.standard_normal((3, 2, 3, 3), dtype=np.float32)
    images = rng.standard_normal((2, 2, 8, 9), dtype=np.float32)
    bank = FilterBank(3, (3, 3), 2).with_filters(filters, table=table)
    np.testing.assert_allclose(run(bank, images), np.tanh(correlate(images, filters, table)), atol=2e-5)


def test_macrofeatures_by_hand() -> None:
    # Two maps of 3×4 pixels: a pixel's number, and its negative.
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4)
    images = np.stack([numbers, -numbers])[np.newaxis]
    joined = run(Macrofeatures(2, 1), images)
    assert joined.shape == (1, 8, 2, 3)
    np.testing.assert_array_equal(2 * joined[0, :, 0, 0], [0, -0.0, 1, -1, 4, -4, 5, -5])
    np.testing.assert_array_equal(2 * joined[0, :, 1, 2], [6, -6, 7, -7, 10, -10, 11, -11])
    sparse = run(Macrofeatures(2, 2), images)
    assert sparse.shape == (1, 8, 1, 2)
    np.testing.assert_array_equal(2 * sparse[0, ::2, 0, 1], [2, 3, 6, 7])
    np.testing.assert_array_equal(run(Macrofeatures(1, 1), images), images)
    np.testing.assert_array_equal(3 * run(Macrofeatures(3, 5), images)[0, ::2, 0, 0], [0, 1, 2, 4, 5, 6, 8, 9, 10])


def test_macrofeatures_keep_the_norm_of_descriptors(rng: np.random.Generator) -> None:
    images = rng.standard_normal((1, 5, 6, 7), dtype=np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(run(Macrofeatures(3, 1), images), axis=1), 1, rtol=1e-6)


def test_macrofeatures_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="MF3x3/1 needs maps of at least 3 pixels, but gets 2"):
        run(Macrofeatures(3, 1), np.zeros((1, 1, 2, 9), np.float32))
    with pytest.raises(UsageError, match="step is 0; it must be an integer of at least 1"):
        Macrofeatures(2, 0)


@pytest.mark.parametrize("size", [1, 5, 9, 15])
def test_high_pass_follows_the_formula_at_the_borders_too(rng: np.random.Generator, size: int) -> None:
    images = rng.gamma(1.0, size=(2, 3, 8, 11)).astype(np.float32)
    found = run(HighPass(size), images)
    radius, sigma = size // 2, size * 1.591 / 9
    for y, x in np.ndindex(8, 11):
        rows = np.arange(max(0, y - radius), min(8, y + radius + 1))
        columns = np.arange(max(0, x - radius), min(11, x + radius + 1))
        weights = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
        mean = (weights * images.mean(axis=1)[:, rows][:, :, columns]).sum(axis=(1, 2)) / weights.sum()
        np.testing.assert_allclose(found[:, :, y, x], images[:, :, y, x] - mean[:, None], atol=1e-5)


def test_high_pass_is_the_first_half_of_normalization(rng: np.random.Generator) -> None:
    from striate.images import high_pass

    images = rng.standard_normal((2, 1, 20, 23), dtype=np.float32)
    passed = run(HighPass(), images)
    np.testing.assert_allclose(passed, high_pass(images), atol=1e-5)
    # What is divided is what is left, so that the ratio of both is the same for all maps of a pixel, and positive.
    images = rng.standard_normal((2, 4, 20, 23), dtype=np.float32)
    ratio = run(HighPass(), images) / run(LocalContrastNormalization(), images)
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(4, axis=1), rtol=1e-3)
    assert ratio.min() > 0
    assert np.abs(run(HighPass(), np.full((1, 2, 12, 12), 0.7, np.float32))).max() < 1e-6
    with pytest.raises(UsageError, match="odd"):
        HighPass(4)


def test_layers_say_what_they_are_without_their_arrays(rng: np.random.Generator) -> None:
    bank = FilterBank(64, (9, 7))
    assert repr(bank) == "FilterBank(64 filters of 9×7, tanh, not learned yet)"
    filled = bank.with_filters(rng.standard_normal((64, 1, 9, 7), dtype=np.float32))
    assert repr(filled) == "FilterBank(64 filters of 9×7, tanh)"
    assert repr(FilterBank(256, (9, 9), 16, "shrink").with_filters(np.zeros((256, 16, 9, 9), np.float32))) == (
        "FilterBank(256 filters of 9×9, each on 16 maps, shrink)"
    )
    codes = SparseCodes(1024)
    assert repr(codes) == "SparseCodes(1,024 units, sparsity 0.15, not learned yet)"
    units = np.eye(1024, 128, dtype=np.float32)
    assert repr(codes.with_dictionary(units)) == "SparseCodes(1,024 units, sparsity 0.15, for 128 maps)"
    assert repr(Pooling("max", 4, 2)) == "Pooling(how='max', size=4, stride=2)"
    assert repr(Hierarchy([bank, Rectification()])) == "Hierarchy('64F9x7 - Rabs')"
    assert repr(Hierarchy([filled, Rectification()])) == "Hierarchy('64F9x7 - Rabs', learned)"
