from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from striate.experiments import Figure, Measurement
from striate.experiments.engine.drawing import draw_figures


def test_every_kind_of_figure_is_drawn(tmp_path: Path) -> None:
    def row(measurement: Measurement | None, **options: Any) -> dict[str, Any]:
        return Figure(what="a figure", measure=lambda _: 0.0, **{"better": "higher", "unit": "%"} | options).judge(
            measurement
        )

    rows = [
        row(Measurement(91.0, 0.5, 3), goal=90.0, published=88.0, source="a paper"),
        row(Measurement(5.5), goal=5.0, better="match", tolerance=1.5),
        row(Measurement(None, held=True), predicate="it rises"),
        row(None, predicate="it rises"),
        row(None, goal=90.0),
    ]
    draw_figures("A claim that is long enough to need more than one line. " * 3, rows, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.width > 600
    draw_figures("A claim that is long enough to need more than one line. " * 3, rows, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes(), "the same figures, the same file"
