"""The dictionary of a learner that takes a gradient step on the reconstruction error after every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.learning._dictionary_update import normalize_rows, worst_reconstructed
from striate.parameters import parameter

__all__ = ["LONGEST", "MEMORY", "GradientDecoder", "slowing"]

MEMORY = 0.99  # decay of the running means over batches, about the last hundred
LONGEST = 144  # values, as in 12×12; longer patches are scaled down to the same mean squared norm
_DEAD = 1e-3  # a unit that fewer patches use is replaced
_FULL_RATE = 300  # batches, after which the decoder's step falls as 1/t and so averages the noise out


def slowing(n_batches: int, n_full: int = _FULL_RATE) -> float:
    """Factor of the step size after a number of batches: 1 for the first `n_full` of them, then falling as 1/t."""
    return min(1.0, n_full / (n_batches + 1))


class GradientDecoder:
    """The dictionary of a learner of scaled patches that has the parameters `decoder_rate` and `remove_mean`."""

    components_: np.ndarray
    usage_: np.ndarray
    n_batches_: int
    scale_: float
    _code_energy: np.ndarray

    @property
    def active_fraction_(self) -> float:
        """Share of the recent codes that was active."""
        return float(self.usage_.mean())

    def _begin_dictionary(self, X: np.ndarray, n_components: int, rng: np.random.Generator) -> None:
        """Set the scale of long patches, and start with units of random numbers."""
        self.scale_ *= float(np.sqrt(max(1.0, X.shape[1] / LONGEST)))
        self.components_ = rng.standard_normal((n_components, X.shape[1])).astype(X.dtype)
        if parameter(self, "remove_mean"):
            self.components_ -= self.components_.mean(axis=1, keepdims=True)
        normalize_rows(self.components_)
        self.usage_ = np.zeros(n_components)
        self._code_energy = np.zeros(n_components, dtype=X.dtype)

    if TYPE_CHECKING:  # of the base class that scales patches

        def scaled(self, patches: np.ndarray) -> np.ndarray: ...

    def _codes_near(self, patches: np.ndarray) -> np.ndarray:
        """Codes of scaled patches near the optimum, as for learning."""
        raise NotImplementedError

    def _batch(self, samples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self.scaled(samples[rows].astype(self.components_.dtype, copy=False))

    def _is_active(self, codes: np.ndarray) -> Any:
        """Which codes (n_samples, n_components) count as active."""
        return codes != 0

    def _update_decoder(self, patches: np.ndarray, codes: np.ndarray) -> None:
        """A gradient step of the dictionary on the reconstruction error, then rows back to unit norm."""
        memory = MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (self._is_active(codes).mean(axis=0) - self.usage_)
        self._code_energy += (1 - memory) * (np.square(codes).mean(axis=0) - self._code_energy)
        # The mean square of a unit's code is the curvature of its error; the mean over units is a floor for rare ones.
        curvature = self._code_energy + self._code_energy.mean()
        step = codes.T @ (patches - codes @ self.components_)
        rate = parameter(self, "decoder_rate") * slowing(self.n_batches_)
        step *= (rate / len(patches) / np.maximum(curvature, 1e-12))[:, np.newaxis]
        self.components_ += step
        normalize_rows(self.components_)

    def _replace_dead_units(self, batch: np.ndarray) -> None:
        """Replace units that are hardly used, by patches with large reconstruction errors."""
        dead = np.flatnonzero(self.usage_ < _DEAD)
        if dead.size:
            worst = worst_reconstructed(batch, self._codes_near(batch) @ self.components_, dead.size)
            self._replace(dead[: worst.size], batch[worst])

    def _replace(self, units: np.ndarray, replacements: np.ndarray) -> None:
        """Replace units by patches, (n_units, n_features), which are normalized in place."""
        normalize_rows(replacements)
        self.components_[units] = replacements
        self._code_energy[units] = self._code_energy.mean()
        self.usage_[units] = self.usage_.mean()  # not dead again for about a hundred batches
