"""PSD of whole digits: the dictionary's units are strokes, and a digit is a sum of a few of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import infer
from striate.experiments.data.mnist import mnist_rows
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, below, column
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import PSD

NAME = "psd-mnist-strokes"
CLAIM = "Units that PSD learns from handwritten digits are strokes; a digit is a sum of a few of them."
DATA = {"quick": (), "full": ("mnist",)}

SEEDS = (0, 1, 2)
HALF = 0.9  # fraction of a unit's energy that a stroke has in few pixels


def _fewer_pixels(results: Results) -> Measurement:
    """Pixels of a principal component over those of a unit."""
    pixels = zip(results.column("pixels of components"), results.column("pixels"), strict=True)
    return above([theirs / ours for theirs, ours in pixels], 2)


FIGURES = (
    Figure(
        what="pixels that hold 90 % of a principal component over those of a unit, medians",
        better="higher",
        predicate="above 2: units are local, as strokes are",
        measure=_fewer_pixels,
    ),
    Figure(
        what="units in the optimal code of a test digit",
        better="lower",
        predicate="below 40 of 200: a few parts",
        measure=lambda results: below(results.column("active"), 40),
    ),
    Figure(
        what="energy of a test digit that its optimal code explains",
        unit="%",
        better="higher",
        predicate="above 85 %",
        measure=lambda results: above(column("explained", 100)(results), 85),
    ),
    Figure(
        what="energy of a test digit that its predicted code explains",
        unit="%",
        better="higher",
        predicate="above 75 %: the encoder sees the strokes at once",
        measure=lambda results: above(column("explained by prediction", 100)(results), 75),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per seed."""
    full = scale == "full"
    common = {"n_components": 200 if full else 32, "sparsity": 0.5, "batches": 3000 if full else 40}
    return [
        Unit(f"seed {seed}", {"seed": seed, **common}, learn_strokes, expected_seconds=120.0)
        for seed in (SEEDS if full else SEEDS[:1])
    ]


def learn_strokes(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn a dictionary of training digits; measure how local its units are, and what codes of test digits explain."""
    train, _, test, labels = mnist_rows(context)
    psd = PSD(
        settings["n_components"], sparsity=settings["sparsity"], max_batches=settings["batches"], remove_mean=False,
        random_state=settings["seed"],
    ).fit(train[:20_000], progress=context.progress)  # fmt: skip
    test, labels = test[:1000], labels[:1000]
    scaled = psd.scaled(test)
    units = psd.components_
    codes = infer(scaled, units, settings["sparsity"])
    predicted = psd.transform(test)
    _, _, axes = np.linalg.svd(train[:5000] - train[:5000].mean(axis=0), full_matrices=False)
    energy = float(np.square(scaled).sum(dtype=np.float64))

    def explained(z: NDArray[Any]) -> float:
        return 1 - float(np.square(scaled - z @ units).sum(dtype=np.float64)) / energy

    facts: dict[str, Any] = {
        "pixels": float(np.median(_pixels(units))),
        "pixels of components": float(np.median(_pixels(axes[: len(units)]))),
        "active": float((codes != 0).sum(axis=1).mean()),
        "explained": explained(codes),
        "explained by prediction": explained(predicted),
        "dead": float(np.mean(~(codes != 0).any(axis=0))),
    }
    if settings["seed"] == 0:
        shown = [int(np.flatnonzero(labels == digit)[0]) for digit in (2, 5, 8)]
        facts |= {
            "drawn": np.round(units.astype(np.float64), 4),
            "digits": np.round(scaled[shown].astype(np.float64), 2),
            "codes": np.round(codes[shown].astype(np.float64), 4),
        }
    return facts


def _pixels(units: NDArray[Any]) -> NDArray[np.int64]:
    """Count the pixels that hold 90 % of the energy of each unit."""
    energies = -np.sort(-np.square(units.astype(np.float64)), axis=1)
    shares = np.cumsum(energies, axis=1) / np.maximum(energies.sum(axis=1, keepdims=True), 1e-30)
    return (shares < HALF).sum(axis=1) + 1


def draw(results: Results, path: Path) -> None:
    """Draw all units, and three digits, each as the sum of its strongest parts."""
    from striate.figures import filter_mosaic

    found = results[next(iter(results)).name]
    side = 28
    units = np.asarray(found["drawn"], np.float32)
    canvas = new_canvas(11, 8.5)
    upper, lower = canvas.subfigures(2, 1, height_ratios=(2.2, 1))
    axes = upper.subplots()
    axes.imshow(filter_mosaic(units.reshape(-1, 1, side, side)), cmap="gray", interpolation="nearest")
    axes.set_title(f"{len(units)} units: {found['pixels']:.0f} pixels hold 90 % of a unit", fontsize=10)
    axes.set_axis_off()
    n_parts = 9
    places = lower.subplots(len(found["digits"]), n_parts + 2)
    for row, digit, code in zip(places, found["digits"], found["codes"], strict=True):
        code = np.asarray(code)
        order = np.argsort(-np.abs(code))[:n_parts]
        pictures = [(np.asarray(digit), "digit"), (code @ units, f"≈ {np.count_nonzero(code)} parts")]
        # Each part as it enters the sum: unit times coefficient.
        pictures += [(code[k] * units[k], f"{'+' if code[k] > 0 else '−'} {abs(code[k]):.1f} ×") for k in order]
        for place, (image, title) in zip(row, pictures, strict=True):
            reach = float(np.abs(image).max()) or 1.0
            place.imshow(image.reshape(side, side), cmap="gray", vmin=-reach, vmax=reach)
            place.set_title(title, fontsize=7, pad=2)
            place.set_axis_off()
    save_canvas(canvas, path)
