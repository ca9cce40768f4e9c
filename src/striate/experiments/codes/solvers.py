"""Objective as a function of time for all solvers on the same patches, among them the talk's ISTA and FISTA."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from striate.coding import PreparedDictionary, certify, infer
from striate.coding.solving import METHODS, Method
from striate.experiments.data.natural_patches import SIDE, natural_patches
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import SparseCoding

NAME = "solvers"
CLAIM = (
    "FISTA needs far fewer steps than ISTA for the same objective, coordinate methods less time, active sets the least."
)
DATA = {"quick": (), "full": ("berkeley",)}

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
TOLERANCE = 1e-6


def _iterations(method: str, gap: float) -> Any:
    """Return the steps until the mean gap is below a fraction of the energy, or the largest number that was tried."""

    def measure(results: Results) -> float:
        for iterations, _, relative_gap in results[method]["path"]:
            if relative_gap <= gap:
                return float(iterations)
        return float(results[method]["path"][-1][0])

    return measure


def _speed(results: Results) -> Measurement:
    seconds = {method: results[method]["seconds"] for method in METHODS}
    ours = seconds.pop("active_set")
    return above([min(seconds.values()) / ours], 1)


def _spread(results: Results) -> float:
    objectives = [results[method]["objective"] for method in METHODS]
    return (max(objectives) - min(objectives)) / min(objectives)


FIGURES = (
    Figure(
        what="largest difference between the solvers' objectives, relative",
        better="lower",
        goal=1e-5,
        measure=_spread,
    ),
    Figure(
        what="steps of ISTA over those of FISTA, to a gap of 0.01 %",
        better="higher",
        predicate="above 2: momentum pays",
        measure=lambda results: above([_iterations("ista", 1e-4)(results) / _iterations("fista", 1e-4)(results)], 2),
    ),
    Figure(
        what="time of the next fastest solver over that of the active-set method, to the same gap",
        better="higher",
        predicate="above 1: it is the fastest",
        measure=_speed,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per method, on the same patches and dictionary."""
    common = (
        {"side": SIDE["full"], "n_components": 256, "n_patches": 2000, "batches": 600}
        if scale == "full"
        else {"side": SIDE["quick"], "n_components": 64, "n_patches": 100, "batches": 10}
    )
    return [Unit(method, {"method": method, **common}, follow_solver) for method in METHODS]


def follow_solver(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure objective, gap and time after 1, 2, 4, … iterations and at the end."""
    n = settings["n_patches"]
    patches = natural_patches(context, settings["side"], max(20 * n, 2000)).astype(np.float64)
    learner = SparseCoding(
        settings["n_components"], active_fraction=0.05, max_batches=settings["batches"], random_state=0
    ).fit(patches.astype(np.float32)[n:], progress=context.progress)
    signals, sparsity = patches[:n], learner.sparsity_
    prepared = PreparedDictionary(learner.components_.astype(np.float64))
    method: Method = settings["method"]

    def run(iterations: int | None, tolerance: float) -> tuple[float, float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped early on purpose
            started = time.perf_counter()
            codes = infer(signals, prepared, sparsity, method=method, tolerance=tolerance, max_iterations=iterations)
            seconds = time.perf_counter() - started
        proof = certify(signals, codes, prepared.components, sparsity)
        return seconds, float(proof.objective.mean()), float(proof.relative_gap.mean())

    run(1, TOLERANCE)  # compiles
    path = []
    for iterations in BUDGETS:
        seconds, objective, gap = run(iterations, 1e-10)
        path.append((iterations, objective, gap))
        if gap < 1e-9 or seconds > 20:
            break
    times = []
    for budget in [point[0] for point in path]:
        seconds, objective, gap = run(budget, 1e-10)
        times.append((seconds / n, objective))
    repeated = [run(None, TOLERANCE) for _ in range(3 if n > 100 else 1)]
    return {
        "path": path,
        "times": times,
        "seconds": min(seconds for seconds, _, _ in repeated) / n,
        "objective": repeated[0][1],
        "relative gap": repeated[0][2],
    }


def draw(results: Results, path: Path) -> None:
    """Draw the distance to the minimum against iterations, and against time."""
    canvas = new_canvas(10.5, 4.6)
    by_steps, by_time = canvas.subplots(1, 2, sharey=True)
    best = min(results[method]["objective"] for method in METHODS)
    best = min(best, *(point[1] for method in METHODS for point in results[method]["times"]))
    for method in METHODS:
        found = results[method]
        distance = [max(objective / best - 1, 1e-9) for _, objective, _ in found["path"]]
        style = {"marker": "o", "markersize": 3, "linewidth": 1.4, "label": method.replace("_", " ")}
        by_steps.loglog([iterations for iterations, _, _ in found["path"]], distance, **style)
        seconds = [1e6 * spent for spent, _ in found["times"]]
        by_time.loglog(seconds, [max(objective / best - 1, 1e-9) for _, objective in found["times"]], **style)
    by_steps.set_xlabel("largest number of iterations (each method counts its own kind)")
    by_steps.set_ylabel("objective above the minimum, relative")
    by_time.set_xlabel("µs per patch")
    by_time.legend(fontsize=8, frameon=False)
    save_canvas(canvas, path)
