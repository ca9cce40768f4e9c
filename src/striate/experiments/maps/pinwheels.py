"""Simple and complex cells over large images: is the map of orientations that of a visual cortex?

A sheet of 101×101 units with fields of 15×15 pixels learns from squares of 115×115 pixels of Berkeley's photographs,
the smaller of the two sizes of the talk: a unit for each position, none of which shares its field. Photographs are
whitened up to 0.2 cycles per pixel, and their contrast is normalized: without that, columns of fields for slow changes
have no orientation. Sparsity and pools were chosen on sheets of 40×40 units, by looking at maps of orientation. The
density of one of them had been measured when the goals were written down, 4.6 ± 0.9; that of the settings used here
was 3.0 ± 0.6, measured later. Both are over 5 hypercolumns, which are too few for a verdict.

Units whose fields reach the border are left out of the map. Controls: the same units shuffled, which have no order;
maps with the same spectrum and random phases, which have the same spacing of columns, and pinwheels too; and a sheet
whose pools are single units (σ → 0), which is plain sparse coding.

What the figures do and do not show. Any smooth random map has about π pinwheels per squared column spacing or more: a
density near π says that the map is smooth and has one spacing, not that it is a cortex. The shuffled sheet tells
it from noise, the surrogates from any map with the same spectrum.

References
----------
Gregor, LeCun, arXiv:1006.0448, 2010. Kaschube et al., Science 2010.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.maps.judged import map_figures, number_of, order_figure, order_of
from striate.experiments.maps.orientation import described, map_of, prepared
from striate.experiments.maps.panels import draw_map, draw_mosaic, mosaic
from striate.learning import LocalFields
from striate.progress import peak_memory_bytes

NAME = "pinwheels"
CLAIM = "Pools of simple cells over large images put orientations into a smooth map with pinwheels."
DATA = {"quick": (), "full": ("berkeley",)}

MAP, SINGLE = "map", "single units as pools"
_CUTOFF = 0.2  # cycles per pixel


FIGURES = (
    *map_figures(MAP),
    Figure(what="imbalance of charges, |n₊ − n₋| / n", better="lower", goal=0.1, measure=number_of(MAP, "imbalance")),
    order_figure(MAP),
    Figure(
        what="the same, with single units as pools (no order: 100)",
        unit="%",
        better="higher",
        goal=90.0,
        measure=order_of(SINGLE),
    ),
    Figure(
        what="training, by the median batch",
        unit="min",
        better="lower",
        goal=40.0,
        measure=number_of(MAP, "minutes"),
    ),
    Figure(what="memory of the process", unit="GB", better="lower", goal=3.0, measure=number_of(MAP, "memory")),
)


def units(scale: Scale) -> list[Unit]:
    """Return the map, and the control whose pools are single units."""
    full = scale == "full"
    common: dict[str, Any] = {
        "kernel": 15 if full else 5, "sparsity": 0.9, "batches": 2000 if full else 6, "batch": 32 if full else 8,
        "cutoff": _CUTOFF if full else 0.4,
    }  # fmt: skip
    sides = (101, 48) if full else (20, 14)
    return [
        Unit(
            name,
            {**common, "side": side, "sigma": sigma},
            learn_map,
            expected_seconds=seconds,
            checkpoints=True,
        )
        for name, side, sigma, seconds in ((MAP, sides[0], 1.5, 900.0), (SINGLE, sides[1], 0.0, 240.0))
    ]


def learn_map(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn the sheet; measure its map beside the controls, and what learning took."""
    images = [prepared(settings["cutoff"])(image) for image in photographs(context, "train")]
    side, kernel = settings["side"], settings["kernel"]
    learner = LocalFields(
        side, kernel, sparsity=settings["sparsity"], pool_sigma=settings["sigma"], max_batches=settings["batches"],
        batch_size=settings["batch"], random_state=context.seed,
    )  # fmt: skip
    times = [time.perf_counter()]
    learner.fit(
        images if context.scale == "full" else _enlarged(images, side + kernel - 1),
        checkpoint=Checkpoint(context.working_folder() / "learning", dict(settings)),
        progress=context.progress,
        callback=lambda _: times.append(time.perf_counter()),
    )
    fields = learner.components_[:, 0]
    found = described(map_of(fields, (side, side), margin=kernel // 2), seed=context.seed)
    batches = np.diff(times)
    return found | {
        "minutes": float(np.median(batches)) * settings["batches"] / 60 if len(batches) else None,
        "memory": peak_memory_bytes() / 1e9,
        "mosaic": mosaic(fields, (side, side)),
    }


def _enlarged(images: list[NDArray[np.float32]], side: int) -> list[NDArray[np.float32]]:
    """Digits, which are smaller than a crop, repeated to its size."""
    return [np.tile(image, (1, -(-side // image.shape[1]), -(-side // image.shape[2]))) for image in images]


def draw(results: Results, path: Path) -> None:
    """Draw the map with its pinwheels, the control, and some of the map's fields."""
    canvas = new_canvas(13, 4.8)
    panels = canvas.subplots(1, 3)
    draw_map(panels[0], results[MAP], title=f"orientation (hue) and its clarity: {MAP}")
    draw_map(panels[1], results[SINGLE], title=SINGLE)
    draw_mosaic(panels[2], results[MAP], title="fields in the middle of the map")
    save_canvas(canvas, path)
