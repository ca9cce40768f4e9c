"""One stage on Caltech-101: what filters, rectification, normalization and pooling each bring."""

from __future__ import annotations

from pathlib import Path

from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Unit
from striate.experiments.recognition.cells import cell_figures, cell_units, draw_table, notation

NAME = "caltech101-one-stage"
CLAIM = "Rectification and normalization matter more than where a stage's filters come from."
DATA = {"quick": (), "full": ("caltech101",)}

PUBLISHED = {
    "U": {"Rabs-N-PA": 52.2, "Rabs-PA": 43.3, "N-PM": 44.0, "N-PA": 17.2, "PA": 13.4},
    "R": {"Rabs-N-PA": 53.3, "Rabs-PA": 31.7, "N-PM": 32.1, "N-PA": 15.3, "PA": 12.1},
    "G": {"Rabs-N-PA": 52.3},
}
FIGURES = cell_figures(
    PUBLISHED,
    goals={letters: row["Rabs-N-PA"] - 1.5 for letters, row in PUBLISHED.items()},
    source="Jarrett et al., ICCV 2009, table 1, one stage",
)


def units(scale: Scale) -> list[Unit]:
    """The frozen cells; at quick scale small ones on digits."""
    if scale == "full":
        return cell_units(PUBLISHED, lambda column: notation(column, ["64F9x9"], ["10x10/5"]))
    return cell_units(PUBLISHED, lambda column: notation(column, ["16F7x7"], ["6x6/4"]))


def draw(results: Results, path: Path) -> None:
    """The table as bars."""
    draw_table(results, FIGURES, path)
