"""All training methods for energies on the talk's list, on the same points, compared with their true density."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from striate.energy import (
    DenoisingEnergy,
    EnergyModel,
    Grid,
    NetworkEnergy,
    SparseCodingEnergy,
    divergence,
    temperature,
)
from striate.experiments.energies.toys import SIDE, TOYS, pack, spiral_code, unpack
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.figures import draw_points, draw_surface

NAME = "energy-training"
CLAIM = "Maximum likelihood fits a density; the methods that avoid the partition function come close to it."
DATA = {"quick": (), "full": ()}

# The options of a network energy, by name. Steps are in half sides of the window.
NETWORKS: dict[str, dict[str, Any]] = {
    "maximum likelihood": {"criterion": "maximum_likelihood"},
    "CD-1": {"criterion": "contrastive_divergence", "n_sampler_steps": 1, "step": 0.02},
    "CD-10": {"criterion": "contrastive_divergence", "n_sampler_steps": 10, "step": 0.02},
    "persistent CD": {"criterion": "persistent_contrastive_divergence", "n_sampler_steps": 5, "step": 0.02},
    "persistent CD, HMC": {
        "criterion": "persistent_contrastive_divergence", "sampler": "hamiltonian", "n_sampler_steps": 1, "step": 0.02,
    },
    "score matching": {"criterion": "score_matching"},
    "denoising score matching": {"criterion": "denoising_score_matching", "noise": 0.03},
}  # fmt: skip
OTHERS = ("denoising autoencoder", "sparse coding")
WAYS = (*NETWORKS, *OTHERS)

_BATCHES = "Until November 2026 this way got half of the batches of maximum likelihood; now it gets the same number."


def _kl(toy: str, way: str, key: str = "divergence") -> Callable[[Results], float]:
    return lambda results: results[f"{toy}, {way}"][key]


def _best(toy: str, way: str) -> Callable[[Results], Measurement]:
    """Divergence of a method; it holds if that of maximum likelihood is not larger."""

    def measure(results: Results) -> Measurement:
        value = _kl(toy, way)(results)
        return Measurement(value, held=value >= _kl(toy, "maximum likelihood")(results))

    return measure


FIGURES = (
    *(
        Figure(
            what=f"{toy}: divergence of maximum likelihood from the true density",
            unit="nats",
            better="lower",
            goal=0.05,
            measure=_kl(toy, "maximum likelihood"),
        )
        for toy in TOYS
    ),
    *(
        Figure(
            what=f"{toy}: divergence of {way}",
            unit="nats",
            better="lower",
            predicate="not below that of maximum likelihood",
            history=(_BATCHES,) if way in NETWORKS else (),
            measure=_best(toy, way),
        )
        for toy in TOYS
        for way in WAYS[1:]
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per way and toy."""
    full = scale == "full"
    common = {"n_points": 10_000 if full else 500, "n_batches": 3000 if full else 15, "size": 400 if full else 100}
    return [
        Unit(f"{toy}, {way}", {"toy": toy, "way": way, **common}, train, expected_seconds=60.0)
        for toy in TOYS
        for way in WAYS
    ]


def model_of(way: str, toy: str, window: Any, n_batches: int, seed: int) -> EnergyModel:
    """Return an energy with this training method."""
    if way in NETWORKS:
        return NetworkEnergy(
            window=window, n_batches=n_batches, batch_size=250, grid_size=48, random_state=seed, **NETWORKS[way]
        )
    if way == "denoising autoencoder":
        return DenoisingEnergy(window=window, n_batches=n_batches, random_state=seed)
    return SparseCodingEnergy(3, sparsity=0.5, random_state=seed) if toy == "three Cauchy" else spiral_code(20, 0.3)


def train(settings: Settings, context: Context) -> dict[str, Any]:
    """Measure the divergence of a method's density from the true one, by quadrature over the window.

    The energy of a network is not rescaled. Other models have no natural scale, and are multiplied by the factor that
    maximizes the likelihood of the training points; this is also measured for networks.
    """
    density = TOYS[settings["toy"]]()
    model = model_of(settings["way"], settings["toy"], density.window, settings["n_batches"], context.seed)
    points = density.sample(settings["n_points"], random_state=1)
    model.fit(points)
    factor = temperature(model, points, Grid(density.window, settings["size"] // 4))
    as_it_is = divergence(model, density, size=settings["size"])
    fitted = divergence(model, density, size=settings["size"], factor=factor)
    image = Grid(density.window, SIDE)
    energies = model.free_energy(image.points) * (1.0 if settings["way"] in NETWORKS else factor)
    tests = density.sample(settings["n_points"], random_state=2)
    grid = Grid(density.window, settings["size"])
    log_partition = grid.log_partition(model.free_energy(grid.points))
    return {
        "divergence": as_it_is if settings["way"] in NETWORKS else fitted,
        "divergence, factor fitted": fitted,
        "factor": factor,
        "test log-likelihood": float(-model.free_energy(tests).mean() - log_partition),
        "true log-likelihood": float(density.log_density(tests).mean()),
        "picture": pack(density_pixels(image.image(image.log_density(energies)))),
    }


def density_pixels(log_density: np.ndarray) -> np.ndarray:
    """Return minus a log density as gray values: black where it is highest, white from 6 nats below."""
    depth = np.clip((log_density.max() - log_density) / 6, 0, 1)
    return np.round(255 * depth).astype(np.uint8)


def draw(results: Results, path: Path) -> None:
    """Draw the true density, and the density and divergence of every method."""
    n_columns = 5
    canvas = new_canvas(12.5, 11.6)
    canvas.suptitle(
        "−log density: black is likeliest, white is 6 nats or more below; numbers: divergence from the truth, nats"
    )
    panels = canvas.subplots(4, n_columns)
    for toy, block in zip(TOYS, (panels[:2], panels[2:]), strict=True):
        density = TOYS[toy]()
        grid = Grid(density.window, SIDE)
        axes = block.ravel()
        draw_surface(axes[0], density_pixels(grid.image(density.log_density(grid.points))), density.window.extent)
        draw_points(axes[0], density.sample(300, random_state=1), density.window.extent, color="#e0601e")
        axes[0].set_title(f"{toy}: the truth, and data", fontsize=10)
        for place, way in zip(axes[1:], WAYS, strict=True):
            found = results[f"{toy}, {way}"]
            draw_surface(place, unpack(found["picture"]), density.window.extent)
            place.set_title(f"{way}: {found['divergence']:.3f}", fontsize=10)
    save_canvas(canvas, path)
