from __future__ import annotations

from typing import Any

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
