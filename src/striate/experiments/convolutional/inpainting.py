"""Pixels that are missing at random: convolutional codes, their best known use in sporco, and a biharmonic fill."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedFilters, inpaint
from striate.experiments.convolutional.filters import learned_filters, middle
from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.drawing import new_canvas, pack, save_canvas, unpack
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, holding, over, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.images import to_grey
from striate.lazy import needs

NAME = "inpainting"
CLAIM = "Convolutional codes fill in missing pixels of photographs better than a smooth fill does, and quickly."
DATA = {"quick": (), "full": ("berkeley",)}

MISSING = (25, 50, 75)
"""Percentages of the pixels, chosen at random."""
N_IMAGES = 20
STRIDE = 5  # of the 100 validation images, in the order of their names
N_SPORCO = 5  # of these, with half of the pixels missing: sporco takes minutes for an image
COMPARED = 50
CROP = 96  # pixels per side of the drawn example

# Of sporco's ADMM, chosen on two squares of 64×64 pixels of training images with 50 % missing, by the mean PSNR in dB:
# 29.2 with a penalty of 0.15, where that of its example, 0.6, has 28.1, after 400 iterations 28.9, and 2.4 has 16.7.
# After 100 iterations, 0.07 has 25.7 and 0.15 has 27.5. At 0.6, its other settings are best: 27.4 and 28.0 with a
# sparsity of 0.003 and 0.03 instead of 0.01, 28.1 and 27.8 with 0.07 and 0.6 instead of 0.2 for the gradients.
SPORCO_PENALTY, SPORCO_ITERATIONS = 0.15, 200

Fill = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[Any]]


def _values(key: str, method: str, missing: int) -> Callable[[Results], list[float]]:
    """One value per image, from all units of a method."""

    def measure(results: Results) -> list[float]:
        found = results.select(method=method, missing=missing).column(key)
        return [float(value) for of_unit in found for value in of_unit]

    return measure


def _gain(missing: int) -> Callable[[Results], Measurement]:
    """Over the biharmonic fill, in dB; it holds if it is above 0 by two standard errors."""

    def measure(results: Results) -> Measurement:
        gain = paired(_values("psnr", "striate", missing)(results), _values("psnr", "biharmonic", missing)(results))
        return holding(gain, lambda mean, error: mean > 2 * error)

    return measure


def _beside_sporco(key: str, results: Results) -> tuple[list[float], list[float]]:
    """Of the images that sporco fills: of striate, and of sporco."""
    ours, theirs = (_values(key, method, COMPARED)(results) for method in ("striate", "sporco"))
    return ours[: len(theirs)], theirs


def _over_sporco(results: Results) -> Measurement:
    return paired(*_beside_sporco("psnr", results))


def _time(results: Results) -> Measurement:
    ours, theirs = _beside_sporco("seconds", results)
    return over(one / other for one, other in zip(ours, theirs, strict=True))


FIGURES = (
    *(
        Figure(
            what=f"PSNR over a biharmonic fill, {missing} % missing",
            unit="dB",
            better="higher",
            predicate="above 0 by two standard errors: codes know more than smoothness",
            measure=_gain(missing),
        )
        for missing in MISSING
    ),
    Figure(
        what=f"PSNR minus that of sporco, {COMPARED} % missing",
        unit="dB",
        better="higher",
        goal=0.0,
        measure=_over_sporco,
    ),
    Figure(
        what=f"time over that of sporco, {COMPARED} % missing",
        better="lower",
        goal=0.2,
        measure=_time,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return units for all images of a method, and for sporco of one image each, for some images.

    sporco comes last: it is no dependency, and without it the figures that compare with it are not run.
    """
    quick = scale == "quick"
    learning: dict[str, Any] = (
        {"side": 5, "n_filters": 8, "n_patches": 500, "batches": 5}
        if quick
        else {"side": 8, "n_filters": 128, "n_patches": 100_000, "batches": 600}
    )
    numbers = list(range(1 if quick else N_IMAGES))
    found = []
    for missing in MISSING:
        common = {"missing": missing, "images": numbers}
        found += [
            Unit(f"striate, {missing} %", {"method": "striate", **common, **learning}, fill_by_codes, 300.0),
            Unit(f"biharmonic, {missing} %", {"method": "biharmonic", **common}, fill_smoothly, 120.0),
        ]
    if not quick:
        found += [
            Unit(
                f"sporco, {COMPARED} %, image {number}",
                {"method": "sporco", "missing": COMPARED, "images": [number]},
                fill_by_sporco,
                240.0,
            )
            for number in numbers[:N_SPORCO]
        ]
    return found


def fill_by_codes(settings: Settings, context: Context) -> dict[str, Any]:
    """Fill the images by `striate.inpaint`, with filters that were learned from patches of other images."""
    filters = PreparedFilters(learned_filters(settings, context, to_grey))
    return _fill(settings, context, lambda image, known: inpaint(image, known, filters))


def fill_smoothly(settings: Settings, context: Context) -> dict[str, Any]:
    """Fill the images by scikit-image's biharmonic equation."""
    with needs("skimage", "baselines", "the biharmonic fill needs scikit-image"):
        from skimage.restoration import inpaint_biharmonic
    return _fill(settings, context, lambda image, known: inpaint_biharmonic(image, ~known))


def fill_by_sporco(settings: Settings, context: Context) -> dict[str, Any]:
    """Fill the images by sporco at its best: a smooth part and gradients of the maps penalized, its own filters.

    The mask is simulated by additional maps, and the settings are those of its example of this task except for the
    penalty of ADMM.
    """
    with needs("sporco", "bench", "the comparison with convolutional codes of others needs sporco"):
        from sporco import util
        from sporco.admm import cbpdn
    learned = util.convdicts()["G:8x8x128"].astype(np.float32)
    impulse = np.zeros((8, 8, 1), np.float32)
    impulse[0, 0] = 1  # its map is the smooth part: no sparsity, and a penalty on its gradient
    filters = np.concatenate([impulse, learned], axis=2)
    n = filters.shape[2]
    sparsities, gradients = np.ones((1, 1, n + 1), np.float32), np.full(n + 1, 0.2, np.float32)
    sparsities[..., [0, n]] = 0  # the last map stands for what is not known
    gradients[0], gradients[n] = 1, 0
    weight = 1e-2
    options = cbpdn.ConvBPDNGradReg.Options(
        {
            "Verbose": False, "MaxMainIter": SPORCO_ITERATIONS, "HighMemSolve": True, "RelStopTol": 5e-3,
            "AuxVarObj": False, "RelaxParam": 1.8, "rho": SPORCO_PENALTY, "L1Weight": sparsities,
            "GradWeight": gradients,
            "AutoRho": {"Enabled": False, "StdResiduals": False},
        }
    )  # fmt: skip

    def fill(image: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[Any]:
        padded = np.pad(image, 8, mode="symmetric")
        solver = cbpdn.AddMaskSim(
            cbpdn.ConvBPDNGradReg, filters, padded, np.pad(known, 8).astype(np.float32), weight, 0.2, opt=options
        )
        solver.solve()
        return np.asarray(solver.reconstruct().squeeze()[8:-8, 8:-8])

    return _fill(settings, context, fill)


def _fill(settings: Settings, context: Context, fill: Fill) -> dict[str, Any]:
    """PSNR and seconds of each image, and a piece of the first one as it was, as it is given and as it is filled."""
    collection = photographs(context, "val")
    found: dict[str, Any] = {"psnr": [], "seconds": []}
    with context.progress.phase(settings["method"], total=len(settings["images"]), unit="images") as phase:
        for number in settings["images"]:
            image = to_grey(collection[number * STRIDE])[0].astype(np.float32)
            known = (
                np.random.default_rng([number, settings["missing"]]).random(image.shape) >= settings["missing"] / 100
            )
            given = np.where(known, image, 0).astype(np.float32)
            if not found["psnr"]:
                small = (slice(0, 40), slice(0, 40))
                fill(given[small], known[small])  # compiles, plans
            started = time.perf_counter()
            filled = fill(given, known)
            found["seconds"].append(time.perf_counter() - started)
            filled = np.clip(np.where(known, image, filled), 0, 1)
            found["psnr"].append(float(-10 * np.log10(max(np.square(filled - image, dtype=float).mean(), 1e-12))))
            if number == 0:
                names = ("image", "given", "filled")
                found |= {name: _piece(of) for name, of in zip(names, (image, given, filled), strict=True)}
            phase.advance()
    return found


def _piece(image: NDArray[Any]) -> dict[str, Any]:
    """The middle of an image, in 256 levels."""
    pixels = np.round(255 * middle(image, CROP)).astype(np.uint8)
    return {"pixels": pack(pixels), "side": len(pixels)}


def draw(results: Results, path: Path) -> None:
    """Draw a piece of an image with half of its pixels missing, how it is filled, and the mean PSNR."""
    canvas = new_canvas(10.5, 5.6)
    grid = canvas.add_gridspec(2, 4)
    named = dict.fromkeys(unit.settings["method"] for unit in results)
    methods = [method for method in named if method != "sporco"]  # which fills fewer images
    pieces = [("as it is", "striate", "image"), ("50 % missing", "striate", "given")]
    pieces += [(method, method, "filled") for method in methods]
    for place, (title, method, name) in enumerate(pieces[:4]):
        axes = canvas.add_subplot(grid[0, place])
        piece = results[f"{method}, 50 %"][name]
        axes.imshow(unpack(piece["pixels"], (piece["side"],) * 2), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    axes = canvas.add_subplot(grid[1, :])
    for method in methods:
        found = [over(_values("psnr", method, missing)(results)) for missing in MISSING]
        means = [measured.value for measured in found]
        axes.errorbar(MISSING, means, [measured.uncertainty or 0 for measured in found], marker="o", label=method)
    axes.set_xlabel("% missing")
    axes.set_ylabel("PSNR, dB")
    axes.legend(fontsize=8, frameon=False)
    save_canvas(canvas, path)
