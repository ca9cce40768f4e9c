"""The map of orientations of a sheet that learns from patches, beside that of large images (`pinwheels`).

`TopographicPSD` has all its units at the place of one patch, where a sheet over large images has one unit per position.
A torus of 48×48 units learns from patches of 16×16 pixels of the same photographs, in the same form, with the defaults
of the learner but for the size of the sheet. It is measured by the same rules, except for the balance of charges, which
topology makes 0 on a torus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from striate.checkpoint import Checkpoint
from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.experiments.maps.judged import map_figures, order_figure
from striate.experiments.maps.orientation import described, map_of, prepared
from striate.experiments.maps.panels import draw_map, draw_mosaic, mosaic
from striate.images import sample_patches
from striate.learning import TopographicPSD

NAME = "pinwheels-patch"
CLAIM = "Units that learn from patches are put in order by their pools too, and their map has pinwheels."
DATA = {"quick": (), "full": ("berkeley",)}

MAP = "map"

FIGURES = (*map_figures(MAP), order_figure(MAP))


def units(scale: Scale) -> list[Unit]:
    """Return the one sheet."""
    full = scale == "full"
    settings: dict[str, Any] = {
        "side": 48 if full else 12, "patch": 16 if full else 8, "patches": 100_000 if full else 300,
        "batches": 3000 if full else 20, "cutoff": 0.2 if full else 0.4,
    }  # fmt: skip
    return [Unit(MAP, settings, learn_map, expected_seconds=900.0, checkpoints=True)]


def learn_map(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn the sheet from patches, and measure its map beside the controls."""
    side, patch = settings["side"], settings["patch"]
    patches = sample_patches(
        photographs(context, "train"), settings["patches"], patch, random_state=0, min_std=0.2,
        prepare=prepared(settings["cutoff"]),
    )  # fmt: skip
    learner = TopographicPSD(sheet=(side, side), max_batches=settings["batches"], random_state=context.seed).fit(
        patches,
        checkpoint=Checkpoint(context.working_folder() / "learning", dict(settings)),
        progress=context.progress,
    )
    filters = learner.components_.reshape(-1, patch, patch)
    given = map_of(filters, (side, side), periodic=True)
    return described(given, seed=context.seed) | {"mosaic": mosaic(filters, (side, side))}


def draw(results: Results, path: Path) -> None:
    """Draw the map with its pinwheels, and some of its filters."""
    canvas = new_canvas(9, 4.8)
    panels = canvas.subplots(1, 2)
    draw_map(panels[0], results[MAP], title="orientation (hue) and its clarity", periodic=True)
    draw_mosaic(panels[1], results[MAP], title="filters in the middle of the map")
    save_canvas(canvas, path)
