"""LCoD compared with CoD: greedy coordinate descent with and without learned matrices, by number of updates.

Both use the same operations: a product of the patch with the filters, and a column of the inhibition per update.
CoD returns the shrunk drive, as the paper's algorithm 2 does, or the components as it updated them, without the last
shrinkage. LCoD is compared with the better of the two at each number of updates. A network is trained for each number
to predict optimal codes. It is not trained on the energy, which may exceed that of CoD if there are twice as many
updates as active units.

Errors are those of patches of photographs from which nothing was learned, Σ‖z − z*‖² / Σ‖z*‖².

References
----------
Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, algorithms 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from striate.encoders import LCoD
from striate.experiments.codes.problem import (
    ACTIVE,
    equivalent_iterations,
    make_problem,
    problem_settings,
)
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, below
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit

NAME = "lcod-vs-cod"
CLAIM = (
    "With learned matrices, greedy coordinate descent comes nearer to optimal codes with the same number of updates."
)
DATA = {"quick": (), "full": ("berkeley",)}

SIZE = {"quick": 32, "full": 100}
UPDATES = {"quick": (1, 5), "full": (1, 2, 5, 10, 20, 50)}
COD_UPDATES = {
    "quick": (1, 2, 3, 5, 7, 10, 14, 20, 30, 50),
    "full": (*range(1, 21), 22, 25, 28, 32, 36, 40, 45, 50, 57, 64, 72, 80, 90, 100, 120, 140, 170, 200, 250, 300),
}


def _learned(results: Results) -> list[tuple[int, float]]:
    """Return the updates and the code error of each network."""
    networks = results.select(method="lcod")
    updates = [unit.settings["updates"] for unit in networks]
    return list(zip(updates, networks.column("code error"), strict=True))


def _descent(results: Results) -> list[tuple[int, float]]:
    """Return the updates and the code error of CoD, the better of its two codes."""
    (curve,) = results.select(method="cod").column("curve")
    return [(updates, min(shrunk, updated)) for updates, shrunk, updated in curve]


def _error_over_descent(results: Results) -> Measurement:
    descent = dict(_descent(results))
    return below([max(error / descent[updates] for updates, error in _learned(results))], 1)


def _falls(results: Results) -> Measurement:
    return below([max(after / before for (_, before), (_, after) in pairwise(_learned(results)))], 1)


def _equivalent(updates: int) -> Callable[[Results], Measurement]:
    def measure(results: Results) -> Measurement:
        (error,) = results.select(method="lcod", updates=updates).column("code error")
        return above([equivalent_iterations(_descent(results), error)], updates)

    return measure


FIGURES = (
    Figure(
        what="largest ratio of LCoD's code error to CoD's at the same number of updates",
        better="lower",
        predicate="below 1: nearer at every number of updates",
        measure=_error_over_descent,
    ),
    Figure(
        what="largest ratio of LCoD's code error to that of fewer updates",
        better="lower",
        predicate="below 1: the error falls with the updates",
        measure=_falls,
    ),
    *(
        Figure(
            what=f"updates of CoD that come as near as {updates} of LCoD",
            better="higher",
            predicate=f"above {updates}",
            measure=_equivalent(updates),
        )
        for updates in UPDATES["full"]
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return CoD, and a network for each number of updates."""
    common = problem_settings(scale, SIZE[scale], ACTIVE)
    training = {"batches": 2000 if scale == "full" else 40}
    return [
        Unit("CoD", {"method": "cod", **common}, follow_descent, expected_seconds=30.0),
        *(
            Unit(f"LCoD, {n} updates", {"method": "lcod", "updates": n, **training, **common}, train_descent)
            for n in UPDATES[scale]
        ),
    ]


def follow_descent(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure CoD after 1, 2, 3, … updates: errors of the shrunk drive, and of the components as updated."""
    problem = make_problem(settings, context)
    curve = []
    for updates in COD_UPDATES[context.scale]:
        errors = []
        for final_shrinkage in (True, False):
            descent = LCoD.from_dictionary(
                problem.dictionary, problem.sparsity, updates, final_shrinkage=final_shrinkage
            )
            errors.append(problem.errors(descent.encode(problem.held_out))[0])
        curve.append((updates, *errors))
    return {"curve": curve} | problem.facts()


def train_descent(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure LCoD after training from the matrices of CoD."""
    problem = make_problem(settings, context)
    encoder = LCoD.from_dictionary(problem.dictionary, problem.sparsity, settings["updates"]).fit(
        problem.patches,
        problem.codes,
        n_batches=settings["batches"],
        learning_rate=0.02,
        random_state=0,
        progress=context.progress,
    )
    error, excess = problem.errors(encoder.encode(problem.held_out))
    return {"code error": error, "energy excess": excess} | problem.facts()


def draw(results: Results, path: Path) -> None:
    """Draw code error against the number of updated components."""
    canvas = new_canvas(7.5, 5.0)
    axes = canvas.subplots()
    (curve,) = results.select(method="cod").column("curve")
    style = {"linewidth": 1.4, "markersize": 4}
    updates, shrunk, updated = zip(*curve, strict=True)
    axes.loglog(updates, shrunk, color="#4c5f8a", label="CoD, shrunk drive", **style)
    axes.loglog(updates, updated, color="#4c5f8a", linestyle="--", label="CoD, components as updated", **style)
    n, errors = zip(*_learned(results), strict=True)
    axes.loglog(n, errors, color="#2a7f4f", marker="o", label="LCoD, trained for each number", **style)
    axes.set_xlabel("updated components")
    axes.set_ylabel("code error, relative")
    axes.legend(fontsize=8, frameon=False)
    save_canvas(canvas, path)
