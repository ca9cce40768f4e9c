"""Every public name of the folder checks what it is given, and takes arrays of any layout."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from striate import figures
from striate.errors import UsageError
from tests.calls import Call, layouts_make_no_difference, numpy_numbers_are_pythons, wrong_arguments_are_named

_RNG = np.random.default_rng(0)
FILTERS = _RNG.standard_normal((4, 3, 5, 5))
PLANE = np.abs(FILTERS[0, 0])
EXTENT = (-1.0, 1.0, 0.0, 2.0)


def _drawn(make: Any) -> Any:
    def call(**arguments: Any) -> str:
        axes = Figure().subplots()
        make(**{"axes": axes, **arguments})
        return "drawn"

    return call


def _svg(make: Any) -> Any:
    def call(**arguments: Any) -> Any:
        make(**arguments)
        return "drawn"

    return call


_POINT = SimpleNamespace(n_labels=10, mean=0.5, standard_error=0.1)
_LAYER = {"kind": "input", "label": "in", "shape": (1, 8, 8)}
CALLS = [
    Call(
        "filter_mosaic", figures.filter_mosaic,
        {"filters": FILTERS, "columns": 2, "gap": 1, "scale": 2, "color": "yuv"}, ("filters",),
    ),
    Call(
        "draw_filters", _svg(figures.draw_filters),
        {"filters": FILTERS, "caption": "filters", "columns": 2, "color": "yuv"}, ("filters",),
    ),
    Call(
        "project_to_pixels", figures.project_to_pixels,
        {"second": FILTERS, "first": FILTERS, "table": np.array([[0, 1, 2]] * 4), "stride": 2},
        ("second", "first", "table"),
        optional=("table",),
    ),
    Call("as_filters", figures.as_filters, {"units": _RNG.random((3, 9)), "shape": (3, 3)}, ("units",)),
    Call("descriptor_images", figures.descriptor_images, {"descriptors": _RNG.random((3, 128))}, ("descriptors",)),
    Call("encode_png", figures.encode_png, {"image": np.zeros((3, 4), np.uint8), "transparent_gap": True}),
    Call("confused_pairs", figures.confused_pairs, {"matrix": np.eye(3), "classes": ["a", "b", "c"], "at_most": 3},
         ("matrix",), unchecked=("classes",)),
    Call("draw_confusion", _svg(figures.draw_confusion), {"matrix": np.eye(3), "classes": ["a", "b", "c"]},
         ("matrix",), unchecked=("classes",)),
    Call(
        "draw_reconstructions", _svg(figures.draw_reconstructions),
        {"patches": FILTERS, "codes": FILTERS[:, 0, 0], "reconstructions": FILTERS, "color": "rgb", "at_most": 2},
        ("patches", "codes", "reconstructions"),
    ),
    Call("surface_pixels", figures.surface_pixels, {"energies": FILTERS[0, 0]}, ("energies",)),
    Call(
        "draw_surface", _drawn(figures.draw_surface),
        {"pixels": FILTERS[0, 0], "extent": EXTENT, "ticks": True}, ("pixels",),
    ),
    Call(
        "draw_points", _drawn(figures.draw_points),
        {"points": FILTERS[0, 0, :, :2], "extent": EXTENT, "color": "#1c1b19"}, ("points",),
    ),
    Call("orientation_colors", figures.orientation_colors, {"orientation": FILTERS[0, 0], "selectivity": PLANE},
         unchecked=("orientation", "selectivity")),
    Call("draw_orientation_map", _drawn(figures.draw_orientation_map), {"orientation": FILTERS[0, 0], "spacing": 2.0},
         unchecked=("orientation",)),
    Call("draw_orientation_key", _drawn(figures.draw_orientation_key), {"orientation": PLANE, "selectivity": PLANE},
         unchecked=("orientation", "selectivity")),
    Call("draw_curves", _drawn(figures.draw_curves), {"x": PLANE[0], "curves": {"a": PLANE[0]}, "level": 1.0,
         "legend": True}, ("x",)),
    Call("draw_distances", _drawn(figures.draw_distances), {"distances": {"a": PLANE[0]}, "n_bins": 4}),
    Call("to_svg", figures.to_svg, {"figure": Figure(), "alt": "nothing"}),
]  # fmt: skip


def _same(found: Any, expected: Any) -> None:
    if isinstance(expected, str | list | bytes):
        assert isinstance(expected, str) or found == expected
    else:
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


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (figures.accuracy_curve, 3, "sequences of points"),
        (figures.accuracy_curve, [3], "sequences of points"),
        (figures.accuracy_curve, [SimpleNamespace(n_labels="a", mean=1, standard_error=0)], "all numbers"),
        (figures.energy_curve, 3, "pairs of a name"),
        (figures.energy_curve, [("a", 3)], "pairs of a name"),
        (figures.energy_curve, [("a", [(1, 2, 3)])], "energies of a have shape"),
        (figures.draw_architecture, 3, "layers are"),
        (figures.draw_architecture, [3], "layers are"),
        (figures.draw_architecture, [{"kind": "input"}], "layers are"),
        (figures.draw_architecture, [{**_LAYER, "shape": ("a",)}], "layers are"),
    ],
)
def test_drawings_say_what_they_need(make: Any, wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(wrong)


def test_drawings_take_numpy_numbers() -> None:
    point = SimpleNamespace(n_labels=np.int64(10), mean=np.float32(0.5), standard_error=np.float64(0.1))
    assert figures.accuracy_curve([_POINT, point]) is not None
    assert figures.energy_curve([("a", np.array([[0, 1], [1, 0.5]], ">f4"))]) is not None  # type: ignore[list-item]
    assert figures.draw_architecture([{**_LAYER, "shape": np.array([1, 8, 8])}]) is not None


@pytest.mark.parametrize("classes", [3, "abc", None, ["a"]])
def test_classes(classes: Any) -> None:
    for make in (figures.confused_pairs, figures.draw_confusion):
        with pytest.raises(UsageError, match=r"give a sequence|does not fit 1 classes"):
            make(np.eye(3), classes)
        with pytest.raises(UsageError, match="integers of at least 0"):
            make(np.eye(3) / 2, ["a", "b", "c"])


def test_animations(tmp_path: Path) -> None:
    frames = [np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)[::-1, ::2]]
    figures.write_animation(tmp_path / "film.gif", frames[:1] * 2, seconds=np.float64(0.1))
    assert (tmp_path / "film.gif").read_bytes()[:3] == b"GIF"
    for name, wrong in (("seconds", 0), ("hold", "a"), ("frames", []), ("frames", [np.zeros((3, 3))]), ("frames", 3)):
        with pytest.raises(UsageError, match=name):
            figures.write_animation(**{"path": tmp_path / "film.gif", "frames": frames, name: wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no folder"):
        figures.write_animation(tmp_path / "none" / "film.gif", frames)


def test_every_public_name_is_tried() -> None:
    others = {"accuracy_curve", "energy_curve", "AccuracyPoint", "ConfusedPair", "draw_architecture", "write_animation"}
    assert set(figures.__all__) <= {call.name for call in CALLS} | others
