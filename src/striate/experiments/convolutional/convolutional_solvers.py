"""Objective and certified gap as a function of time, for both solvers of convolutional codes on one image."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedFilters, infer_convolutional
from striate.coding.convolutional.solving import METHODS, ConvolutionalMethod
from striate.experiments.convolutional.filters import learned_filters, middle, normalized
from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit

NAME = "convolutional-solvers"
CLAIM = "Coordinate descent on the coefficients that matter codes a whole image sooner than FISTA does."
DATA = {"quick": (), "full": ("berkeley",)}

SHARES = (0.3, 0.1, 0.05)
"""Sparsities, as shares of the least one at which the code is empty."""
GAP = 1e-4
"""The gap, relative to half the energy of the image, to which the time counts."""
STOP = 5e-5  # just below it; below 2e-5 the solvers would use double precision
LONGEST = 60.0  # seconds of a run, after which no longer one is tried
SHORT, REPEATS = 2.0, 5  # seconds of a run that is repeated


def _seconds(results: Results, method: str, share: float) -> float:
    """Time until the gap is reached; of the longest run if none reached it."""
    found = results[_name(method, share)]
    return float(next((spent for spent, gap, _ in found["path"] if gap <= GAP), found["path"][-1][0]))


def _speed(share: float) -> Any:
    def measure(results: Results) -> Measurement:
        return above([_seconds(results, "fista", share) / _seconds(results, "active_set", share)], 1)

    return measure


def _largest_gap(results: Results) -> float:
    return max(results[_name("active_set", share)]["path"][-1][1] for share in SHARES)


FIGURES = (
    *(
        Figure(
            what=f"time of FISTA over that of the active-set method, to a gap of 1e-4, at {share} λ_max",
            better="higher",
            predicate="above 1: the active-set method is there sooner",
            measure=_speed(share),
        )
        for share in SHARES
    ),
    Figure(
        what="largest certified gap of the active-set method at the end, relative",
        better="lower",
        goal=GAP,
        measure=_largest_gap,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per method and sparsity, on the same image and filters."""
    common = (
        {"crop": 143, "side": 9, "n_filters": 64, "n_patches": 50_000, "batches": 600}
        if scale == "full"
        else {"crop": 28, "side": 5, "n_filters": 8, "n_patches": 500, "batches": 5}
    )
    return [
        Unit(_name(method, share), {"method": method, "share": share, **common}, follow_solver, expected_seconds=240.0)
        for share in SHARES
        for method in METHODS
    ]


def _name(method: str, share: float) -> str:
    return f"{method}, {share}"


def follow_solver(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure time, relative gap and objective after 1, 2, 4, … iterations, until the gap is reached."""
    filters = PreparedFilters(learned_filters(settings, context, normalized))
    image = _image(context, settings["crop"])
    sparsity = settings["share"] * float(np.abs(filters.correlate(image)).max())
    method: ConvolutionalMethod = settings["method"]

    def run(iterations: int) -> tuple[float, float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped early on purpose
            started = time.perf_counter()
            found = infer_convolutional(
                image, filters, sparsity, method=method, tolerance=STOP, max_iterations=iterations, sparse_output=True,
                info=True,
            )  # fmt: skip
            seconds = time.perf_counter() - started
        return seconds, float(found.relative_gap[0]), float(found.objective[0])

    run(1)  # compiles, and makes the arrays of the filters
    path: list[tuple[float, float, float]] = []
    iterations = 1
    with context.progress.phase(method, unit="runs") as phase:
        while iterations < METHODS[method] and (not path or (path[-1][1] > STOP and path[-1][0] < LONGEST)):
            found = run(iterations)
            if found[0] < SHORT:  # the least of some: the first one may have waited for memory
                found = min(found, *(run(iterations) for _ in range(REPEATS - 1)))
            path.append(found)
            iterations *= 2
            phase.advance()
    return {"path": path, "sparsity": sparsity}


def _image(context: Context, crop: int) -> NDArray[np.float32]:
    """A square of a validation image behind local contrast normalization, (crop, crop)."""
    return np.ascontiguousarray(middle(normalized(photographs(context, "val")[0])[0], crop))


def draw(results: Results, path: Path) -> None:
    """Draw the gap against time, one panel per sparsity."""
    canvas = new_canvas(10.5, 3.8)
    for axes, share in zip(canvas.subplots(1, len(SHARES), sharey=True), SHARES, strict=True):
        for method in METHODS:
            points = results[_name(method, share)]["path"]
            axes.loglog(
                [1e3 * seconds for seconds, _, _ in points], [max(gap, 1e-7) for _, gap, _ in points],
                marker="o", markersize=3, linewidth=1.4, label=method.replace("_", " "),
            )  # fmt: skip
        axes.axhline(GAP, color="#999999", linewidth=0.8)
        axes.set_title(f"{share} λ_max", fontsize=9)
        axes.set_xlabel("ms")
    canvas.axes[0].set_ylabel("certified gap, relative")
    canvas.axes[0].legend(fontsize=8, frameon=False)
    save_canvas(canvas, path)
