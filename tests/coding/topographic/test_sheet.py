"""Windows over sheets of units: against loops, and sheets that are not possible."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.coding import Sheet
from striate.errors import UsageError

SHEETS = [
    Sheet((32, 16), 6, 2),
    Sheet((5, 4), (3, 2), 1, weights="box"),
    Sheet((4, 6), (4, 3), (2, 3), weights="box"),
    Sheet((7, 9), (3, 5), (2, 4), torus=False),
    Sheet((6, 6), 6, 6),
    Sheet(12, 5, 3),
    Sheet(11, 5, 3, torus=False, weights="box"),
    Sheet(1),
]


def slow_weights(sheet: Sheet) -> np.ndarray:
    """The weights of all units in all pools, by loops over pools and units."""
    sides, windows, strides = ([*values, 1][:2] for values in (sheet.shape, sheet.window, sheet.stride))
    pools = []
    counts = [
        side // step if sheet.torus else (side - width) // step + 1
        for side, width, step in zip(sides, windows, strides, strict=True)
    ]
    for top in range(counts[0]):
        for left in range(counts[1]):
            pool = np.zeros(sides)
            for i in range(windows[0]):
                for j in range(windows[1]):
                    weight = 1.0
                    if sheet.weights == "gaussian":
                        for place, width in ((i, windows[0]), (j, windows[1])):
                            weight *= np.exp(-(((place - (width - 1) / 2) / (width / 4)) ** 2) / 2) if width > 1 else 1
                    pool[(top * strides[0] + i) % sides[0], (left * strides[1] + j) % sides[1]] += weight
            pools.append(pool.ravel() / pool.sum())
    return np.array(pools)


@pytest.mark.kernels
@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: f"{sheet.words}-{sheet.window}-{sheet.stride}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windowed_sums_equal_loops(sheet: Sheet, dtype: Any, rng: np.random.Generator) -> None:
    weights = slow_weights(sheet)
    np.testing.assert_allclose(sheet.matrix(), weights, atol=1e-12)
    assert weights.shape == (sheet.n_pools, sheet.n_units)
    assert (weights.sum(axis=0) > 0).all()
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for n in (1, 63, 130):
        codes = rng.standard_normal((n, sheet.n_units)).astype(dtype)
        values = rng.standard_normal((n, sheet.n_pools)).astype(dtype)
        pooled, spread = sheet.pool(codes), sheet.spread(values)
        assert pooled.dtype == spread.dtype == dtype
        np.testing.assert_allclose(pooled, np.sqrt(np.square(codes) @ weights.T), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(spread, values @ weights, rtol=tolerance, atol=tolerance)


def test_a_torus_looks_the_same_from_everywhere(rng: np.random.Generator) -> None:
    sheet = Sheet((8, 6), 4, 2)
    codes = rng.standard_normal((3, 8, 6))
    moved = np.roll(codes, (2, -2), axis=(1, 2))
    pooled, of_moved = (sheet.pool(each.reshape(3, -1)).reshape(3, 4, 3) for each in (codes, moved))
    np.testing.assert_allclose(np.roll(pooled, (1, -1), axis=(1, 2)), of_moved)


def test_windows_that_tile_are_subspaces() -> None:
    weights = Sheet((4, 6), (2, 3), (2, 3), weights="box").matrix()
    np.testing.assert_array_equal((weights > 0).sum(axis=0), 1)
    assert set(np.unique(weights)) == {0, 1 / 6}


@given(st.integers(1, 600))
def test_any_number_of_units_has_a_sheet(n: int) -> None:
    for torus in (True, False):
        sheet = Sheet.of(n, torus=torus)
        assert sheet.n_units == n
        assert (sheet.matrix().sum(axis=0) > 0).all()
        np.testing.assert_allclose(sheet.matrix().sum(axis=1), 1)


def test_the_default_is_the_papers() -> None:
    sheet = Sheet.of(512)
    assert (sheet.shape, sheet.window, sheet.stride, sheet.pool_shape) == ((32, 16), (6, 6), (2, 2), (16, 8))
    assert sheet == Sheet((32, 16), 6, 2)
    assert Sheet.of(17).shape == (17,)


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_sheet_survives_json(sheet: Sheet) -> None:
    assert Sheet.from_state(json.loads(json.dumps(sheet.to_state()))) == sheet


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((4, 4), 6, 1), {}, r"window of 6 units is larger than the side of the sheet, 4: take a smaller window"),
        (((32, 16), 6, 5), {}, r"stride of 5 does not divide the side of the torus, 32: .* or torus=False"),
        (((12, 12), 3, 4), {}, r"windows of 3 units every 4 leave units out"),
        (((8, 16), 6, 4), {"torus": False}, r"leave out the last 2 of 8"),
        ((0,), {}, "shape is 0"),
        (((4, 4, 4),), {}, "shape is"),
        (((4, 4), (2, 2, 2)), {}, "window is"),
        ((16, (2, 2)), {}, r"window is \(2, 2\), and the sheet has 1 sides"),
        (((4, 4),), {"weights": "round"}, 'it must be "gaussian" or "box"'),
        (((4, 4),), {"torus": 1}, "torus is 1"),
    ],
)
def test_bad_sheets_say_what_to_do(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sheet(*arguments, **options)


def test_a_sheet_of_another_number_of_units() -> None:
    with pytest.raises(UsageError, match=r"a sheet of 4×4 has 16 units, not 15"):
        Sheet.of(15, (4, 4))
    with pytest.raises(UsageError, match="codes have shape"):
        Sheet((4, 4)).pool(np.zeros((2, 15)))
