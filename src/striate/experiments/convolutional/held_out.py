"""A convolutional PSD that was learned from Berkeley's photographs, and energies of codes of others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedFilters, certify_convolutional, infer_convolutional
from striate.coding.convolutional.windows import coverage
from striate.experiments.convolutional.filters import middle, normalized
from striate.experiments.data.natural_patches import photographs
from striate.experiments.engine.unit import Context, Settings
from striate.learning import ConvolutionalPSD

__all__ = ["HeldOutCrops", "learned_psd"]

_OPTIMAL = 1e-4  # relative gap of optimal codes
_NO_GAP = 2e-5  # the least for which the solver stays in single precision: no code of a few steps is that near


def learned_psd(settings: Settings, context: Context) -> ConvolutionalPSD:
    """Learn from the training photographs behind local contrast normalization.

    Parameters
    ----------
    settings : mapping
        ``n_filters``, ``side``, ``encoder`` and ``batches``.
    context : Context
    """
    learner = ConvolutionalPSD(
        settings["n_filters"], kernel_size=settings["side"], encoder=settings["encoder"],
        max_batches=settings["batches"], random_state=context.seed,
    )  # fmt: skip
    images = [normalized(image) for image in photographs(context, "train")]
    return learner.fit(images, progress=context.progress)


@dataclass(frozen=True)
class HeldOutCrops:
    """Squares of validation photographs, and their objective ½‖w ⊙ (x − D * z)‖² + sparsity·Σ|z|.

    It is the energy of the learner without the prediction term, in which every encoder would be at its optimum.

    Attributes
    ----------
    images : float32 (n_crops, 1, side, side)
        Scaled as the learner scales images.
    predicted : float32 (n_crops, n_filters, n_rows, n_columns)
        The maps that the learner's encoder predicts.
    filters : PreparedFilters
    sparsity : float
    """

    images: NDArray[np.float32]
    predicted: NDArray[np.float32]
    filters: PreparedFilters
    sparsity: float

    @classmethod
    def drawn(cls, learner: ConvolutionalPSD, context: Context, *, n_crops: int, side: int) -> HeldOutCrops:
        """The middles of the first photographs, `side` pixels wide and high."""
        collection = photographs(context, "val")
        crops = np.stack([middle(normalized(collection[number]), side) for number in range(n_crops)])
        scaled = (crops - learner.mean_[:, None, None]) / np.float32(learner.scale_)
        predicted = learner.transform(crops)
        return cls(scaled.astype(np.float32), predicted, PreparedFilters(learner.components_), learner.sparsity)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights w of the pixels' errors, (side, side)."""
        return coverage(*self.images.shape[2:], *self.filters.filters.shape[2:])

    def objective(self, maps: NDArray[Any]) -> float:
        """The mean over the crops."""
        found = certify_convolutional(self.images, maps, self.filters, self.sparsity, mask=self.weights)
        return float(found.objective.mean())

    def optimum(self) -> tuple[NDArray[np.float32], float]:
        """Optimal maps, and their objective."""
        found = infer_convolutional(
            self.images, self.filters, self.sparsity, mask=self.weights, tolerance=_OPTIMAL, info=True
        )
        return found.codes, float(found.objective.mean())

    def after_steps(self, n: int, start: NDArray[Any] | None = None) -> float:
        """The objective after this many steps of FISTA, from these maps or from 0."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is stopped early on purpose
            # The last iteration is no step: it only computes the gap.
            found = infer_convolutional(
                self.images, self.filters, self.sparsity, method="fista", mask=self.weights, start=start,
                tolerance=_NO_GAP, max_iterations=n + 1, info=True,
            )  # fmt: skip
        return float(found.objective.mean())
