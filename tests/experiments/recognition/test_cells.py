"""Tables of cells: their architectures, and what counts as the published result."""

from __future__ import annotations

import pytest

from striate.experiments import Measurement, Results
from striate.experiments.recognition.caltech101_two_stage import TABLE as TWO_STAGES
from striate.experiments.recognition.cells import COLUMNS, Table
from striate.hierarchy import Hierarchy

TABLE = Table(
    published={"U": dict(zip(COLUMNS, (50.0, 40.0, 40.0, 20.0, 10.0), strict=True)), "G": {"Rabs-N-PA": 50.0}},
    source="a paper, table 1",
    goals={"U": 49.0},
    stages={"full": [("64F9x9", "10x10/5")], "quick": [("8F5x5", "4x4/2")]},
)


def measured(**accuracies: list[float]) -> dict[str, Measurement | None]:
    """What the figures find if cells of the row U have these accuracies, others those that were published."""
    units = TABLE.units("full")
    finished = {}
    for unit in units:
        row, column = unit.settings["protocol"], unit.settings["column"]
        given = accuracies.get(column.replace("-", "_")) if row == "U" else None
        value = TABLE.published[row][column]
        finished[unit.name] = {"accuracy": [a / 100 for a in given or (value - 1, value, value + 1)]}
    return {figure.what: figure.read(Results("full", units, finished)) for figure in TABLE.figures}


def test_stages_share_the_layers_of_their_column() -> None:
    assert TABLE.architecture("N-PM", "quick") == "8F5x5 - N - PM4x4/2"
    notation = TWO_STAGES.architecture("Rabs-N-PA", "full")
    assert notation == "64F9x9 - Rabs - N - PA10x10/5 - 256F9x9:16 - Rabs - N - PA6x6/4"
    assert Hierarchy(notation).output_shape((1, 143, 143)) == (256, 4, 4)


def test_every_cell_has_a_unit_and_a_figure() -> None:
    names = [unit.name for unit in TABLE.units("quick")]
    assert names == [*(f"U, {column}" for column in COLUMNS), "G, Rabs-N-PA"]
    assert [figure.what for figure in TABLE.figures][: len(names)] == names


@pytest.mark.parametrize(("accuracy", "verdict", "apart"), [(43.0, "met", 0), (43.1, "short", 1), (36.9, "short", 1)])
def test_a_cell_that_is_far_better_than_published_is_no_match(accuracy: float, verdict: str, apart: int) -> None:
    found = measured(Rabs_PA=[accuracy] * 3)
    (figure,) = (figure for figure in TABLE.figures if figure.what == "U, Rabs-PA")
    assert figure.judge(found["U, Rabs-PA"])["verdict"] == verdict
    assert found["cells that are more than 3 points from the published ones"] == Measurement(apart)


def test_the_smallest_lead_is_in_standard_errors_of_paired_splits() -> None:
    found = measured(Rabs_N_PA=[50.0, 60.0, 70.0], Rabs_PA=[49.0, 58.0, 67.0])
    lead = found["smallest lead of Rabs-N-PA over another column of its row, in standard errors"]
    assert lead is not None
    assert lead.value == pytest.approx(2 / (1 / 3**0.5))
    assert lead.held
