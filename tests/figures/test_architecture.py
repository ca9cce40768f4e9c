from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.figures import draw_architecture, to_svg

LAYERS: list[dict[str, Any]] = [
    {"kind": "input", "label": "image", "shape": (1, 28, 28)},
    {"kind": "learned", "label": "64 filters & more", "shape": (64, 20, 20)},
    {"kind": "something new", "label": "$nothing$", "shape": None},
    {"kind": "classifier", "label": "logistic regression", "shape": (10,)},
]


def test_labels_and_sizes_are_in_the_drawing() -> None:
    svg = to_svg(draw_architecture(LAYERS), alt="x")
    for text in ("image", "64 filters &amp; more", "$nothing$", "64 × 20 × 20", "1 × 28 × 28", "10"):
        assert f">{text}<" in svg


def test_a_stack_of_many_maps_is_deeper_and_a_smaller_map_smaller() -> None:
    def sheets(shape: tuple[int, ...]) -> list[float]:
        layers = [LAYERS[0], {"kind": "fixed", "label": "", "shape": shape}]
        below = [patch for patch in draw_architecture(layers).axes[0].patches if patch.get_y() > 0.54]  # type: ignore[attr-defined]
        return [patch.get_width() for patch in below]  # type: ignore[attr-defined]

    assert len(sheets((256, 5, 5))) > len(sheets((16, 5, 5))) > len(sheets((1, 5, 5)))
    assert sheets((16, 5, 5))[0] < sheets((16, 20, 20))[0]


def test_no_layers() -> None:
    with pytest.raises(UsageError, match="at least one layer"):
        draw_architecture([])


def test_paths_are_drawn_before_the_layer_that_joins_them() -> None:
    def row(label: str, **more: object) -> dict[str, object]:
        return {"kind": "fixed", "label": label, "shape": (3, 8, 8), **more}

    nested = row("two", shape=(9, 1, 1), paths=[[row("d")]])
    layers = [row("a"), row("joined", paths=[[row("b"), row("c")], [nested]]), row("e")]
    figure = draw_architecture(layers)
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    order = ["a", "b", "c", "d", "two", "joined", "e"]
    assert sorted(order, key=lambda label: texts[label][1]) == order
    indent = [texts[label][0] - texts["a"][0] for label in order]
    np.testing.assert_allclose(np.array(indent) / indent[1], [0, 1, 1, 2, 1, 0, 0])
    assert len(axes.lines) == 1 + 3
