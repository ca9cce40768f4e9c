"""Every public name of the folder checks what it is given, and takes filters of any layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import analysis
from striate.errors import UsageError
from striate.hierarchy import Hierarchy
from tests.calls import Call, layouts_make_no_difference, numpy_numbers_are_pythons, wrong_arguments_are_named

FILTERS = np.random.default_rng(0).standard_normal((5, 6, 6))
FITS = analysis.fit_gabor(FILTERS, n_starts=4, random_state=0)
ANGLES = np.random.default_rng(0).uniform(0, np.pi, (20, 24))
IMAGES = np.random.default_rng(0).random((3, 1, 40, 50), np.float32)
PLACES = analysis.patch_places(list(IMAGES), 10, size=8, reach=4, random_state=0)
MAP = analysis.gaussian_map((20, 24), 6, random_state=0)


def _responses(make: Any) -> Any:
    return lambda **given: make(**given).responses


_OPTIMAL: dict[str, Any] = {"shape": (1, 12, 12), "n_steps": 2, "step": 0.1, "n_starts": 2, "random_state": 0}
CALLS = [
    Call("peak_frequency", analysis.peak_frequency, {"filters": FILTERS}, ("filters",)),
    Call(
        "orientation_histogram", analysis.orientation_histogram,
        {"orientations": np.linspace(0, 3, 20), "n_bins": 4}, ("orientations",),
    ),
    Call("coherence", analysis.coherence, {"dictionary": FILTERS[0]}, ("dictionary",)),
    Call("grating_share", analysis.grating_share, {"stimuli": FILTERS}, ("stimuli",)),
    Call(
        "fit_gabor", analysis.fit_gabor,
        {"filters": FILTERS.reshape(5, -1), "shape": (6, 6), "n_starts": 4, "random_state": 0}, ("filters",),
    ),
    Call("GaborFits", FITS.draw, {"shape": (5, 7)}),
    Call("gaussian_map", _responses(analysis.gaussian_map),
         {"shape": (20, 24), "spacing": 6.0, "spread": 0.3, "random_state": 0}),
    Call("shuffled", _responses(analysis.shuffled), {"orientation_map": MAP, "random_state": 0}),
    Call("phase_randomized", _responses(analysis.phase_randomized), {"orientation_map": MAP, "random_state": 0}),
    Call("OrientationMap", _responses(analysis.OrientationMap.of),
         {"orientation": ANGLES, "selectivity": ANGLES, "periodic": True}, unchecked=("orientation", "selectivity")),
    Call("column_spacing", lambda **given: analysis.column_spacing(**given).power, {"orientation_map": MAP}),
    Call("gaussian_density", analysis.gaussian_density, {"orientation_map": MAP, "spacing": 6.0}),
    Call("find_pinwheels", lambda **given: analysis.find_pinwheels(**given).x, {"orientation_map": MAP}),
    Call("nearest_distances", lambda **given: analysis.nearest_distances(**given).any,
         {"pinwheels": analysis.find_pinwheels(MAP)}),
    Call("sheet_maps", lambda **given: analysis.sheet_maps(**given).orientation,
         {"filters": FILTERS, "sheet": (1, 5), "periodic": False, "method": "spectrum"}, ("filters",)),
    Call("difference_with_distance", lambda **given: analysis.difference_with_distance(**given).difference,
         {"values": ANGLES, "period": 3.0, "periodic": True, "at_most": 4}, unchecked=("values",)),
    Call("patch_places", lambda **given: analysis.patch_places(**given).row,
         {"images": IMAGES, "n_patches": 5, "size": 8, "reach": 4, "min_std": 0.01, "random_state": 0},
         unchecked=("images",)),
    Call("cut_patches", analysis.cut_patches,
         {"images": IMAGES, "places": PLACES, "size": 8, "shift": 1.5, "rotation": 10.0},
         unchecked=("images", "places")),
    Call("invariance_curve", lambda **given: analysis.invariance_curve(**given).mean,
         {"describe": lambda patches: patches.reshape(len(patches), -1), "images": IMAGES, "places": PLACES, "size": 8,
          "shifts": range(3), "rotation": 10.0}, unchecked=("describe", "images", "places", "shifts")),
    Call("pinwheel_density", lambda **given: analysis.pinwheel_density(**given).densities,
         {"orientation_map": MAP, "spacing": 6.0, "n_blocks": 3}),
]  # fmt: skip


def _same(found: Any, expected: Any) -> None:
    if isinstance(expected, analysis.GaborFits):
        found, expected = list(vars(found).values()), list(vars(expected).values())
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_wrong_arguments(call: Call) -> None:
    wrong_arguments_are_named(call)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_numpy_numbers(call: Call) -> None:
    numpy_numbers_are_pythons(call, _same)


@pytest.mark.parametrize("call", [call for call in CALLS if call.tables], ids=str)
def test_layouts(call: Call, tmp_path: Path) -> None:
    layouts_make_no_difference(call, tmp_path, _same)


def test_stimuli() -> None:
    bank = Hierarchy("4F5x5 - Rabs")
    wrong_arguments_are_named(Call("optimal_stimuli", analysis.optimal_stimuli, {"hierarchy": bank, **_OPTIMAL}))


def test_every_public_name_is_tried() -> None:
    results = {
        "ColumnSpacing",
        "DistanceCurve",
        "InvarianceCurve",
        "PatchPlaces",
        "SheetMaps",
        "NearestDistances",
        "OptimalStimuli",
        "PinwheelDensity",
        "Pinwheels",
    }
    assert set(analysis.__all__) <= {call.name for call in CALLS} | results | {"optimal_stimuli"}


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_scales_make_no_difference(scale: float) -> None:
    np.testing.assert_array_equal(analysis.peak_frequency(FILTERS * scale), analysis.peak_frequency(FILTERS))
    np.testing.assert_allclose(analysis.coherence(FILTERS[0] * scale), analysis.coherence(FILTERS[0]), rtol=1e-12)
    np.testing.assert_allclose(analysis.grating_share(FILTERS * scale), analysis.grating_share(FILTERS), rtol=1e-12)


def test_nothing_to_measure() -> None:
    for measure in (analysis.peak_frequency, analysis.grating_share):
        with pytest.raises(UsageError, match="none of them 0"):
            measure(np.zeros((0, 5, 5)))
    assert analysis.peak_frequency(np.ones((1, 5, 5)))[0] == 0
    assert analysis.orientation_histogram(np.zeros(0)).sum() == 0
