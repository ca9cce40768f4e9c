"""The problem for LISTA and LCoD: a dictionary of natural patches, a sparsity, and certified optimal codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedDictionary, certify, find_sparsity, infer
from striate.experiments.data.natural_patches import natural_patches
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.unit import Context, Settings
from striate.learning import SparseCoding

__all__ = ["ACTIVE", "Problem", "equivalent_iterations", "make_problem", "problem_settings"]

ACTIVE = 0.1  # fraction of active units in an optimal code
TOLERANCE = 1e-6  # of the optimal codes' duality gap


def problem_settings(scale: Scale, n_components: int, active: float) -> dict[str, Any]:
    """Return the settings that `make_problem` reads."""
    full = scale == "full"
    return {
        "n_components": n_components,
        "active": active,
        "side": 10 if full else 8,
        "dictionary_patches": 50_000 if full else 1000,
        "dictionary_batches": 200 if full else 20,
        "n_patches": 200_000 if full else 1500,
        "n_held_out": 5000 if full else 500,
    }


@dataclass(frozen=True)
class Problem:
    """A dictionary with its sparsity, patches and their optimal codes.

    Parameters
    ----------
    dictionary : PreparedDictionary
    sparsity : float
    patches : ndarray (n_samples, n_features)
        Patches for training networks, different from those of the dictionary.
    held_out : ndarray (n_held_out, n_features)
        Patches of photographs from which nothing was learned.
    optimal : ndarray (n_held_out, n_components)
        The optimal codes of `held_out`.
    gap : float
        The largest relative duality gap of `optimal`.
    """

    dictionary: PreparedDictionary
    sparsity: float
    patches: NDArray[np.float32]
    held_out: NDArray[np.float32]
    optimal: NDArray[np.float32]
    gap: float

    @cached_property
    def codes(self) -> Any:
        """The optimal codes of `patches`, a csr_array (n_samples, n_components)."""
        return infer(self.patches, self.dictionary, self.sparsity, tolerance=TOLERANCE, sparse_output=True)

    def errors(self, codes: NDArray[Any]) -> tuple[float, float]:
        """Return the code error and the energy excess of codes of the held-out patches, both relative."""
        distance = np.square(codes - self.optimal, dtype=np.float64).sum()
        size = np.square(self.optimal, dtype=np.float64).sum()
        lowest = self._energy(self.optimal)
        return round(float(distance / size), 7), round(self._energy(codes) / lowest - 1, 7)

    def facts(self) -> dict[str, float]:
        """Return measures of how difficult the problem is."""
        return {
            "sparsity": self.sparsity,
            "active fraction": float(np.mean(self.optimal != 0)),
            "largest relative gap": self.gap,
            "mean squared norm of a code": float(np.square(self.optimal).sum(axis=1).mean()),
            "largest eigenvalue": self.dictionary.largest_eigenvalue,
        }

    def _energy(self, codes: NDArray[Any]) -> float:
        proof = certify(self.held_out, codes, self.dictionary.components, self.sparsity)
        return float(proof.objective.mean())


def make_problem(settings: Settings, context: Context) -> Problem:
    """Learn a dictionary, find the sparsity with this fraction of active units, and code the held-out patches."""
    side, n_first = settings["side"], settings["dictionary_patches"]
    drawn = natural_patches(context, side, n_first + settings["n_patches"])
    first, patches = drawn[:n_first], drawn[n_first:]
    held_out = natural_patches(context, side, settings["n_held_out"], part="val")
    learner = SparseCoding(
        settings["n_components"],
        active_fraction=settings["active"],
        max_batches=settings["dictionary_batches"],
        random_state=0,
    ).fit(first, progress=context.progress)
    dictionary = PreparedDictionary(learner.components_)
    sparsity = find_sparsity(
        first[:2000], dictionary, settings["active"], low=learner.sparsity_ / 2, high=2 * learner.sparsity_, n_steps=9
    )
    found = infer(held_out, dictionary, sparsity, tolerance=TOLERANCE, info=True)
    return Problem(dictionary, sparsity, patches, held_out, found.codes, float(found.relative_gap.max()))


def equivalent_iterations(curve: Sequence[Sequence[float]], error: float) -> float:
    """Return the iterations after which a solver's code error is `error`, with logarithms interpolated between two.

    Parameters
    ----------
    curve : sequence of (iterations, code error, ...)
        In the order of increasing iterations.
    error : float

    Returns
    -------
    float
        The first number of iterations if the whole curve is below `error`, the last if no point is.
    """
    previous: tuple[float, float] | None = None
    for iterations, reached, *_ in curve:
        if reached <= error:
            if previous is None:
                return float(iterations)
            ratio = np.log(previous[1] / error) / np.log(previous[1] / max(reached, 1e-300))
            return float(previous[0] * (iterations / previous[0]) ** ratio)
        previous = float(iterations), reached
    return float(curve[-1][0])
