"""How far pooled features move when a patch is shifted and rotated, beside SIFT.

Each patch of 16×16 pixels, from photographs that the learner has not seen, is compared with the patch that lies 0 to 16
pixels to its right, as it is or with its window turned by 25°. A distance is divided by the mean distance between
patches of different photographs. SIFT sees the same 16×16 pixels of the grey photograph; beside it, SIFT that also sees
the 4 pixels around them, as a dense grid in a photograph does. Pooled features and SIFT have 128 numbers each. The
lengths of feature vectors tell patches apart by contrast, which SIFT removes: pooled features divided by their length
are measured as well. Units are compared without their signs.

References
----------
Kavukcuoglu, Ranzato, Fergus, LeCun, "Learning invariant features through topographic filter maps", CVPR 2009, figure 5.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.analysis import InvarianceCurve, PatchPlaces, invariance_curve, patch_places
from striate.experiments.data.natural_patches import photographs, whitened
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.hierarchy import DenseSIFT
from striate.images import sample_patches, to_grey
from striate.learning import TopographicPSD

NAME = "invariance-vs-sift"
CLAIM = "Pooled features of a learned sheet change less than SIFT when a patch moves, most of all when it also turns."
DATA = {"quick": (), "full": ("berkeley",)}

SEEDS = (0, 1, 2)
ROTATION = 25.0  # degrees
POOLED, UNITS = "pooled features", "units before pooling"
POOLED_OF_LENGTH_1 = "pooled features of length 1"
SIFT, SIFT_AROUND = "SIFT", "SIFT with 4 pixels around"
_PREDICATE = "above 0 by two standard errors over the patches, for each seed"

Describe = Callable[[NDArray[np.float32]], NDArray[Any]]


def _gain(ours: str, theirs: str, condition: str) -> Callable[[Results], Measurement]:
    """Their distance minus ours, over shifts of 1 to 8 pixels (half of the patch), paired."""

    def measure(results: Results) -> Measurement:
        gains = [gain[f"{theirs} - {ours}"][condition] for gain in results.column("gains")]
        means, errors = np.array(gains).T
        n = min(results.column("patches"))
        return Measurement(float(means.mean()), float(errors.mean()), n, held=bool((means > 2 * errors).all()))

    return measure


_COMPARED = ((POOLED, SIFT), (POOLED, SIFT_AROUND), (POOLED_OF_LENGTH_1, SIFT), (POOLED, UNITS))

FIGURES = tuple(
    Figure(
        what=f"distance of {theirs} minus distance of {ours}, {words}",
        better="higher",
        predicate=_PREDICATE,
        measure=_gain(ours, theirs, condition),
    )
    for ours, theirs in _COMPARED
    for condition, words in (
        ("shift", "shifts of 1 to 8 pixels"),
        ("rotated", "shifts of 1 to 8 pixels and 25°"),
        ("more", "the second minus the first"),
    )
)


def units(scale: Scale) -> list[Unit]:
    """Return one unit per seed of the learner."""
    full = scale == "full"
    settings = {
        "side": 16 if full else 8,
        "sheet": [32, 16] if full else [8, 4],
        "window": 6 if full else 4,
        "stride": 2,
        "n_patches": 200_000 if full else 1000,
        "batches": 3000 if full else 20,
        "compared": 2000 if full else 60,
        "reach": 16 if full else 6,
        "around": 4 if full else 1,  # pixels
    }
    seeds = SEEDS if full else SEEDS[:1]
    return [Unit(f"seed {seed}", {**settings, "seed": seed}, compare, expected_seconds=600.0) for seed in seeds]


def compare(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn a sheet; measure curves of invariance of its features and of SIFT, on the same patches."""
    side, reach = settings["side"], settings["reach"]
    larger = side + 2 * settings["around"]
    rows = sample_patches(
        photographs(context, "train"), settings["n_patches"], side, random_state=0, min_std=0.3, prepare=whitened
    )
    learner = TopographicPSD(
        sheet=tuple(settings["sheet"]),
        window=settings["window"],
        stride=settings["stride"],
        max_batches=settings["batches"],
        random_state=settings["seed"],
    ).fit(rows, progress=context.progress)
    held_out = photographs(context, "val")
    images = [np.asarray(held_out[i]) for i in range(len(held_out))]
    greys, whites = [to_grey(image) for image in images], [whitened(image) for image in images]
    places = patch_places(greys, settings["compared"], size=larger, reach=reach, random_state=0)
    descriptions: dict[str, tuple[Describe, list[NDArray[Any]], int]] = {
        POOLED: (lambda patches: learner.transform(_rows(patches)), whites, side),
        POOLED_OF_LENGTH_1: (lambda patches: of_length_1(learner.transform(_rows(patches))), whites, side),
        UNITS: (lambda patches: np.abs(learner.transform(_rows(patches), simple=True)), whites, side),
        SIFT: (lambda patches: sift(patches, side), greys, side),
        SIFT_AROUND: (lambda patches: sift(patches, side), greys, larger),
    }
    shifts = range(reach + 1)
    curves: dict[str, dict[str, InvarianceCurve]] = {}
    with context.progress.phase("comparing patches", total=2 * len(descriptions), unit="curves") as phase:
        for name, (describe, prepared, size) in descriptions.items():
            curves[name] = {}
            for condition, rotation in (("shift", 0.0), ("rotated", ROTATION)):
                curves[name][condition] = _curve(describe, prepared, places, size, shifts, rotation)
                phase.advance()
    return {
        "shifts": list(shifts),
        "patches": len(places),
        "curves": {
            name: {
                condition: {"mean": np.round(curve.mean, 5), "standard error": np.round(curve.standard_error, 5)}
                for condition, curve in found.items()
            }
            for name, found in curves.items()
        },
        "gains": {
            f"{theirs} - {ours}": paired_gains(curves[ours], curves[theirs], side // 2) for ours, theirs in _COMPARED
        },
    }


def _curve(
    describe: Describe,
    images: list[NDArray[Any]],
    places: PatchPlaces,
    size: int,
    shifts: range,
    rotation: float,
) -> InvarianceCurve:
    return invariance_curve(describe, images, places, size=size, shifts=shifts, rotation=rotation)


def paired_gains(
    ours: dict[str, InvarianceCurve], theirs: dict[str, InvarianceCurve], longest: int
) -> dict[str, tuple[float, float]]:
    """Mean and standard error, over patches, of their distance minus ours, averaged over shifts from 1 to the longest.

    Parameters
    ----------
    ours, theirs : dict of InvarianceCurve
        ``"shift"`` and ``"rotated"``, of the same patches.
    longest : int

    Returns
    -------
    dict
        ``"shift"``, ``"rotated"``, and ``"more"``: the second minus the first.
    """
    gains = {}
    for condition in ("shift", "rotated"):
        used = (ours[condition].shifts >= 1) & (ours[condition].shifts <= longest)
        difference = theirs[condition].distances - ours[condition].distances
        gains[condition] = difference[:, used].mean(axis=1)
    gains["more"] = gains["rotated"] - gains["shift"]
    return {name: (float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))) for name, gain in gains.items()}


def sift(patches: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """SIFT of the square of this side in the middle of each patch, (n_patches, 128)."""
    layer = DenseSIFT(side, side)
    # With a step of a whole side, a window less than twice as large has one descriptor, in its middle.
    return np.stack([layer.apply(patch[..., None])[0, 0] for patch in patches])


def of_length_1(features: NDArray[Any]) -> NDArray[Any]:
    """Rows divided by their length; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1))


def _rows(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    return patches.reshape(len(patches), -1)


def draw(results: Results, path: Path) -> None:
    """Draw both families of curves, of the first seed, with bands of one standard error."""
    from striate.figures import draw_curves

    found = results.column("curves")[0]
    shifts = results.column("shifts")[0]
    names = (POOLED, SIFT, UNITS, SIFT_AROUND)
    canvas = new_canvas(9.5, 4.2)
    for axes, (condition, title) in zip(
        canvas.subplots(1, 2, sharey=True),
        (("shift", "shifted"), ("rotated", "shifted and turned by 25°")),
        strict=True,
    ):
        draw_curves(
            axes,
            shifts,
            {name: found[name][condition]["mean"] for name in names},
            errors={name: found[name][condition]["standard error"] for name in names},
            level=1.0,
            labels=("shift, pixels", "distance (1: unrelated patches)" if condition == "shift" else ""),
            legend=condition == "shift",
        )
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
    save_canvas(canvas, path)
