"""How far sight is compared: scores against their definitions, and figures against made-up units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.experiments import Results, load_experiment
from striate.experiments.robot.compared import ONLINE, Compared, after, errors_by_frame, scores
from striate.robot import EXTRACTORS, FarResult

EXPERIMENT = load_experiment("near-to-far")
CHART = load_experiment("lagr-extractors")


@pytest.fixture
def found(rng: np.random.Generator) -> Compared:
    n = 400
    obstacle = rng.random(n) < 0.4
    cost = np.clip(0.4 + 0.2 * obstacle + 0.2 * rng.standard_normal(n), 0, 1).astype(np.float32)
    result = FarResult(rng.integers(8, size=n), rng.uniform(5, 40, n).astype(np.float32), obstacle, cost, np.arange(n))
    late = np.where(result.frame >= 3, cost, np.float32(np.nan))
    return Compared(result, {ONLINE: cost, "nothing": np.full(n, 0.5, np.float32), after(3): late})


def test_scores_are_those_of_the_result(found: Compared) -> None:
    report = scores(found, 12, 20, range(8), seed=0)
    assert report is not None
    expected = found.result.score(12, 20)
    assert report["n_windows"] == expected.n_windows
    assert report["n_frames"] == 8
    assert report[ONLINE]["auroc"] == pytest.approx(expected.auroc)
    assert report[ONLINE]["error"] == pytest.approx(expected.error)
    assert report[ONLINE]["gain"] == report[ONLINE]["gain spread"] == 0
    assert report["nothing"]["auroc"] == 0.5
    assert report["nothing"]["gain"] == pytest.approx(expected.auroc - 0.5)
    assert report["nothing"]["gain spread"] == pytest.approx(report[ONLINE]["auroc spread"])
    assert after(3) not in report  # it does not exist in the first frames
    assert after(3) in (scores(found, 12, 20, range(3, 8), seed=0) or {})
    assert scores(found, 12, 20, range(3), seed=0) != report
    assert scores(found, 50, 60, range(8), seed=0) is None


def test_the_bootstrap_has_about_the_spread_of_independent_frames() -> None:
    """Of windows that are independent, frames are only groups: Hanley and McNeil's error for an AUROC."""
    rng = np.random.default_rng(3)
    n = 2000
    obstacle = rng.random(n) < 0.5
    cost = (obstacle + rng.standard_normal(n)).astype(np.float32)
    result = FarResult(np.repeat(np.arange(50), 40), np.full(n, 15.0, np.float32), obstacle, cost, np.arange(n))
    report = scores(Compared(result, {ONLINE: cost}), 12, 20, range(50), seed=0)
    assert report is not None
    area, half = report[ONLINE]["auroc"], n / 2
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + (half - 1) * (q1 - area**2 + q2 - area**2)) / half**2)
    assert report[ONLINE]["auroc spread"] == pytest.approx(error, rel=0.25)


def test_errors_by_frame(found: Compared) -> None:
    errors = errors_by_frame(found, after(3), 12, 35)
    assert set(errors) <= set(range(3, 8))
    result = found.result
    for frame, error in errors.items():
        own = result.frame == frame
        assert error == pytest.approx(FarResult(*(field[own] for field in result)).score(12, 35).error)


def unit_of(extractor: str, sequence: str) -> dict[str, Any]:
    """The autoencoder is best before the judged frames, DrLIM on them."""
    auroc = {"drlim": 0.97, "autoencoder": 0.93}.get(extractor, 0.8)
    of_predictor = {"auroc": auroc, "auroc spread": 0.01, "error": 0.2, "gain": 0.06, "gain spread": 0.02}
    report = {"n_windows": 100, "n_frames": 9, ONLINE: of_predictor, "row and height": of_predictor}
    curve = {"frames": [30, 31, 32], after(5): [0.3, 0.2, 0.25], after(30): [0.2, 0.1, 0.16]}
    return {
        "ranges": {"12–20 m": report, "20–35 m": report, "35–60 m": None if sequence == "street" else report},
        "development": {"autoencoder": 0.95}.get(extractor, 0.9),
        "curve": curve,
    }


def measured(what: str) -> Any:
    units = EXPERIMENT.units("full")
    finished = {
        unit.name: {"right": 0.9}
        if "kind" in unit.settings
        else unit_of(unit.settings["extractor"], unit.settings["sequence"])
        for unit in units
    }
    (figure,) = (figure for figure in EXPERIMENT.figures if figure.what.startswith(what))
    return figure.read(Results("full", units, finished))


def test_the_best_extractor_is_chosen_on_frames_that_are_not_judged() -> None:
    for sequence in ("village", "street"):
        found = measured(f"{sequence}, 12–20 m: AUROC, best")
        assert (found.value, found.uncertainty, found.n) == (0.93, 0.01, 9)
    assert measured("village, 20–35 m: AUROC above").value == 0.06
    assert measured("village, 35–60 m").held
    learned = measured("village, 20–35 m: error after 30")
    assert learned.value == pytest.approx(-29 / 3)
    assert learned.held
    assert measured("disparities").value == pytest.approx(90)


def test_every_extractor_drives_both_ways() -> None:
    drives = {(unit.settings["sequence"], unit.settings["extractor"]) for unit in EXPERIMENT.units("full")[:-1]}
    assert drives == {(sequence, extractor) for sequence in ("village", "street") for extractor in EXTRACTORS}


def charted(errors: dict[str, float]) -> list[Any]:
    units = CHART.units("full")
    finished = {
        unit.name: {"error": errors[unit.settings["extractor"]] + 0.001 * unit.settings["seed"]} for unit in units
    }
    return [figure.read(Results("full", units, finished)) for figure in CHART.figures]


def test_the_order_of_the_chart() -> None:
    talk = dict(zip(EXTRACTORS, (0.2, 0.15, 0.14, 0.12, 0.13, 0.11, 0.25), strict=True))
    assert EXTRACTORS[0] == "rbf"
    assert EXTRACTORS[-1] == "random"
    above_centers, above_random, centers, labels, best = charted(talk)
    assert above_centers.held
    assert above_centers.value == pytest.approx(7)
    assert above_random.value == pytest.approx(12)
    assert centers.value == pytest.approx(5)
    assert labels.held
    assert labels.value == pytest.approx(2)
    assert best.held
    assert not charted({**talk, "drlim": 0.21})[0].held
    assert not charted({**talk, "supervised": 0.1})[4].held
