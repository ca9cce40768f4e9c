"""Time and error of codes: predicted codes and exact solvers, with one dictionary of 9×9 patches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from striate.coding import PreparedDictionary, certify, infer
from striate.encoders import make_encoder, train_predictor
from striate.experiments.data.natural_patches import natural_patches
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import PSD

NAME = "code-cost"
CLAIM = "A predicted code costs hundreds of times less than an optimal one by feature-sign search."
DATA = {"quick": (), "full": ("berkeley",)}

SOLVERS = ("active_set", "coordinate_descent", "feature_sign")
# The name, the kind of encoder, and its steps.
ENCODERS = (
    ("tanh", "tanh", 1),
    ("linear", "linear", 1),
    ("shrinkage", "shrinkage", 1),
    *((f"LISTA, {steps} steps", "lista", steps) for steps in (2, 3, 5)),
    *((f"LCoD, {steps} updates", "lcod", steps) for steps in (5, 20)),
)
SECONDS = 0.3  # minimum duration of a timing


def _times(solver: str) -> Any:
    return lambda results: results[solver]["seconds"] / results["tanh"]["seconds"]


def _pareto(results: Results) -> Measurement:
    """Energy excess of the best LISTA, in percent; and whether it falls with each additional step."""
    excess = [results[name]["energy excess"] for name, kind, _ in ENCODERS if kind == "lista"]
    return Measurement(100 * min(excess), held=bool((np.diff(excess) < 0).all()))


FIGURES = (
    Figure(
        what="time of feature-sign search over that of the tanh encoder",
        better="higher",
        goal=300.0,
        measure=_times("feature_sign"),
    ),
    *(
        Figure(
            what=f"times that {name} takes as long as the tanh encoder",
            better="higher",
            goal=100.0,
            history=(
                "Until November 2026 it had to be above 1, which could hardly fail. The talk says hundreds; 47 and 23 "
                "had been seen when the goal was set.",
            ),
            measure=_times(solver),
        )
        for solver, name in (
            ("coordinate_descent", "coordinate descent"),
            ("active_set", "the fastest certified solver"),
        )
    ),
    Figure(
        what="least energy excess of LISTA over the certified optimum",
        unit="%",
        better="lower",
        predicate="falls with each step",
        measure=_pareto,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return exact solvers with a gap of 1e-4, and encoders that were trained on the same dictionary."""
    full = scale == "full"
    common = {
        "side": 9 if full else 6,
        "n_components": 64 if full else 32,
        "n_patches": 100_000 if full else 2000,
        "batches": 3000 if full else 20,
        "encoder_batches": 5000 if full else 20,
        "sparsity": 1.0,
    }
    names = [(name, "solver", 0) for name in SOLVERS] + list(ENCODERS)
    return [
        Unit(name, {"name": name, "kind": kind, "steps": steps, **common}, time_code) for name, kind, steps in names
    ]


def time_code(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure seconds per patch, relative code error and energy excess, on held-out patches in float32."""
    patches = natural_patches(context, settings["side"], settings["n_patches"])
    n_test = min(10_000, len(patches) // 4)
    test, train = patches[:n_test], patches[n_test:]
    psd = PSD(
        settings["n_components"], sparsity=settings["sparsity"], max_batches=settings["batches"], random_state=0
    ).fit(train, progress=context.progress)
    scaled, learn_from = psd.scaled(test), psd.scaled(train)
    prepared = PreparedDictionary(psd.components_)
    optimal = infer(scaled.astype(np.float64), prepared, settings["sparsity"])
    if settings["kind"] == "solver":

        def code() -> Any:
            return infer(scaled, prepared, settings["sparsity"], method=settings["name"])

    else:
        options = {"steps": settings["steps"]} if settings["kind"] in ("lista", "lcod") else {}
        encoder = (
            psd.predictor_
            if settings["kind"] == "tanh"
            else train_predictor(
                make_encoder(settings["kind"], **options), learn_from, prepared, settings["sparsity"],
                n_batches=settings["encoder_batches"], random_state=0, progress=context.progress,
            )
        )  # fmt: skip

        def code() -> Any:
            return encoder.encode(scaled)

    found = code()
    longest = SECONDS if context.scale == "full" else 0.0
    times: list[float] = []
    while not times or sum(times) < longest:
        started = time.perf_counter()
        code()
        times.append(time.perf_counter() - started)
    best = certify(scaled, optimal, prepared.components, settings["sparsity"]).objective.mean()
    energy = certify(scaled, found, prepared.components, settings["sparsity"]).objective.mean()
    return {
        "seconds": float(np.median(times)) / len(scaled),
        "code error": float(np.square(found - optimal).sum() / np.square(optimal).sum()),
        "energy excess": float(energy / best - 1),
        "active": float(np.mean(found != 0)),
        "active, optimal": float(np.mean(optimal != 0)),
    }


def draw(results: Results, path: Path) -> None:
    """Draw code error against time."""
    canvas = new_canvas(7, 4.6)
    axes = canvas.subplots()
    for number, unit in enumerate(results):
        found = results[unit.name]
        exact = unit.settings["kind"] == "solver"
        place = (1e6 * found["seconds"], max(found["code error"], 1e-5))
        axes.loglog(*place, "s" if exact else "o", color="#4c5f8a" if exact else "#b3541e")
        axes.annotate(unit.name.replace("_", " "), place, fontsize=8, xytext=(5, (3, -11)[number % 2]),
                      textcoords="offset points")  # fmt: skip
    axes.set_xlabel("µs per patch")
    axes.set_ylabel("‖z − z*‖² / ‖z*‖² (exact solvers at a gap of 1e-4)")
    axes.margins(x=0.2)
    save_canvas(canvas, path)
