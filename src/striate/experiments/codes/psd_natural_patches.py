"""Predictive sparse decomposition of natural patches: encoder and decoder filters, and energies of predicted codes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from striate.analysis import fit_gabor
from striate.coding import certify, infer
from striate.experiments.data.natural_patches import GABOR, SIDE, natural_patches
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, column
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import PSD, SparseCoding

NAME = "psd-natural-patches"
CLAIM = "An encoder learned with the dictionary predicts sparse codes of natural patches; its filters are Gabors too."
DATA = {"quick": (), "full": ("berkeley",)}

SEEDS = (0, 1, 2)
# The encoder's learning rate. 4e-3 lowers the energy of LISTA's codes, and raises that of tanh codes.
RATE = {"tanh": 1e-3, "lista": 4e-3}


FIGURES = (
    Figure(
        what="decoder filters that are Gabors, 256 units",
        unit="%",
        better="higher",
        goal=85.0,
        measure=column("decoder gabors", 100, size="small", encoder="tanh"),
    ),
    Figure(
        what="decoder filters that are Gabors, 1,024 units",
        unit="%",
        better="higher",
        goal=85.0,
        measure=column("decoder gabors", 100, size="large"),
    ),
    Figure(
        what="energy of predicted codes over the certified optimum, tanh encoder, 256 units",
        better="lower",
        goal=1.35,
        measure=column("predicted over optimal", size="small", encoder="tanh"),
    ),
    Figure(
        what="energy of predicted codes over the certified optimum, LISTA of 3 steps, 256 units",
        better="lower",
        goal=1.10,
        measure=column("predicted over optimal", size="small", encoder="lista"),
    ),
    Figure(
        what="optimal energy over that of a dictionary learned by sparse coding alone, 256 units",
        better="lower",
        goal=1.05,
        measure=column("optimal over sparse coding", size="small", encoder="tanh"),
    ),
    Figure(
        what="minutes of learning, 256 units",
        unit="min",
        better="lower",
        goal=2.0,
        measure=column("minutes", size="small", encoder="tanh"),
    ),
    Figure(
        what="minutes of learning, 1,024 units",
        unit="min",
        better="lower",
        goal=10.0,
        measure=column("minutes", size="large"),
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return units of two sizes, the smaller from three seeds and with two encoders."""
    full = scale == "full"
    # The small dictionary of the quick scale is even smaller.
    n = 256 if full else 32
    sizes = [("small", n, encoder, seed) for encoder in ("tanh", "lista") for seed in (SEEDS if full else SEEDS[:1])]
    sizes += [("large", 1024, "tanh", 0)] if full else []
    common = {
        "side": SIDE[scale],
        "n_patches": 200_000 if full else 2000,
        "batches": 3000 if full else 30,
        "sparsity": 1.0,
    }
    return [
        Unit(
            f"{n} units, {encoder}, seed {seed}",
            {
                "size": size,
                "n_components": n,
                "encoder": encoder,
                "seed": seed,
                "encoder_rate": RATE[encoder],
                **common,
            },
            learn_to_predict,
            expected_seconds=120.0,
        )
        for size, n, encoder, seed in sizes
    ]


def learn_to_predict(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn by PSD; measure Gabor fits, and energies of predicted and of optimal codes on held-out patches."""
    n, side, seed = settings["n_components"], settings["side"], settings["seed"]
    patches = natural_patches(context, side, settings["n_patches"])
    held_out, train = patches[:2000], patches[2000:] if len(patches) > 4000 else patches
    started = time.perf_counter()
    psd = PSD(
        n,
        sparsity=settings["sparsity"],
        encoder_rate=settings["encoder_rate"],
        max_batches=settings["batches"],
        encoder=settings["encoder"],
        random_state=seed,
    ).fit(train, progress=context.progress)
    minutes = (time.perf_counter() - started) / 60
    plain = SparseCoding(
        n, sparsity=settings["sparsity"] * psd.scale_, max_batches=settings["batches"] // 3, random_state=seed
    ).fit(train, progress=context.progress)
    scaled = psd.scaled(held_out)

    def energy(codes: Any, dictionary: Any) -> float:
        return float(certify(scaled, codes, dictionary, settings["sparsity"]).objective.mean())

    optimal = energy(infer(scaled, psd.components_, settings["sparsity"]), psd.components_)
    gabors = {}
    for name, filters in (("decoder", psd.components_), ("encoder", psd.encoder_)):
        fits = fit_gabor(filters, (side, side), random_state=0)
        gabors[f"{name} gabors"] = float(np.mean(np.nan_to_num(fits.r_squared) >= GABOR))
    order = np.argsort(-psd.usage_)[:144]
    drawn = {
        "decoder": np.round(psd.components_[order].astype(np.float64), 3),
        "encoder": np.round(psd.encoder_[order].astype(np.float64), 3),
    }
    return gabors | {
        "predicted over optimal": energy(psd.transform(held_out), psd.components_) / optimal,
        "optimal over sparse coding": optimal
        / energy(infer(scaled, plain.components_, settings["sparsity"]), plain.components_),
        "active fraction": psd.active_fraction_,
        "dead": float(np.mean(psd.usage_ < 1e-3)),
        "minutes": minutes,
        "batches": psd.n_batches_,
        "side": side,
        **(drawn if seed == 0 else {}),
    }


def draw(results: Results, path: Path) -> None:
    """Draw encoder and decoder filters of both sizes, the same units in the same places."""
    from striate.figures import filter_mosaic

    shown = [unit.name for unit in results if unit.settings["seed"] == 0]
    canvas = new_canvas(8, 4.2 * len(shown))
    places = canvas.subplots(len(shown), 2, squeeze=False)
    for row, name in zip(places, shown, strict=True):
        found = results[name]
        for axes, part in zip(row, ("encoder", "decoder"), strict=True):
            tiles = np.asarray(found[part], np.float32).reshape(-1, 1, found["side"], found["side"])
            axes.imshow(filter_mosaic(tiles), cmap="gray", interpolation="nearest")
            axes.set_title(f"{name}: {part}, {100 * found[f'{part} gabors']:.0f} % are Gabors", fontsize=10)
            axes.set_axis_off()
    save_canvas(canvas, path)
