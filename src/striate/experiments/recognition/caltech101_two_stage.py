"""Two stages on Caltech-101, frozen: what a second stage adds, with learned, random and template filters."""

from __future__ import annotations

from pathlib import Path

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Unit
from striate.experiments.recognition.cells import cell_figures, cell_units, draw_table, notation

NAME = "caltech101-two-stage"
CLAIM = "Two stages of random filters, rectified and normalized, recognize objects almost as well as learned ones."
DATA = {"quick": (), "full": ("caltech101",)}

PUBLISHED = {
    "UU": {"Rabs-N-PA": 63.7, "Rabs-PA": 46.7, "N-PM": 56.0, "N-PA": 23.1, "PA": 9.1},
    "RR": {"Rabs-N-PA": 62.9, "Rabs-PA": 33.7, "N-PM": 37.6, "N-PA": 19.6, "PA": 8.8},
    "GT": {"Rabs-N-PA": 55.8},
}
FIGURES = cell_figures(
    PUBLISHED,
    goals={letters: row["Rabs-N-PA"] for letters, row in PUBLISHED.items()},
    source="Jarrett et al., ICCV 2009, table 1, two stages",
)


def units(scale: Scale) -> list[Unit]:
    """The frozen cells; at quick scale small ones on digits."""
    if scale == "full":
        # The talk prints stride 3, of which only 4 gives its 4×4 outputs and its number of parameters.
        return cell_units(PUBLISHED, lambda column: notation(column, ["64F9x9", "256F9x9:16"], ["10x10/5", "6x6/4"]))
    return cell_units(PUBLISHED, lambda column: notation(column, ["16F5x5", "32F3x3:4"], ["4x4/3", "2x2/2"]))


def draw(results: Results, path: Path) -> None:
    """The table as bars."""
    draw_table(results, FIGURES, path)
