"""Diagnose a fit of PSD, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from striate.errors import UsageError

__all__ = ["HeldOut", "diagnose_psd"]

_COLLAPSED = 0.9  # share of active units: codes that equal a dense prediction have no zeros
_EMPTY = 2e-3
_DEAD = 1e-3  # share of the patches that use the unit
_DEAD_SHARE = 0.05
_LAGGING = 0.5  # predicted codes should explain at least this share of what optimal codes explain
_FALLING = 0.01  # share of the energy that it loses in the last fifth of the batches


class HeldOut(NamedTuple):
    """Result of an evaluation on the held-out patches: means over patches that are scaled to unit deviation."""

    batch: int
    energy: float  # of the optimal codes, all three terms
    active: float  # fraction of the optimal codes that is not 0, or not nearly
    error: float  # ½‖y − zD‖² of the optimal codes
    predicted_error: float  # the same of the predicted codes

    @classmethod
    def measured(
        cls, batch: int, patches: np.ndarray, codes: np.ndarray, predicted: np.ndarray, components: np.ndarray,
        *, penalty: float, active: float, prediction: float,
    ) -> Self:  # fmt: skip
        """Measure optimal and predicted codes (n_samples, n_components) of scaled patches.

        `penalty` is what sparsity adds to the energy, on average, and `active` the fraction of the optimal codes that
        is active.
        """
        n = len(patches)

        def error(z: np.ndarray) -> float:
            return 0.5 * float(np.square(patches - z @ components).sum()) / n

        gap = 0.5 * float(np.square(codes - predicted).sum()) / n
        energy = error(codes) + penalty + prediction * gap
        return cls(batch, energy, active, error(codes), error(predicted))

    def in_words(self) -> str:
        """One line for the progress."""
        return (
            f"energy {self.energy:.1f}, {self.active:.0%} active, "
            f"error {self.error:.1f}, predicted {self.predicted_error:.1f}"
        )


def diagnose_psd(
    evaluations: Sequence[HeldOut],
    usage: np.ndarray,
    *,
    energy_of_nothing: float,
    sparsity: float,
    prediction: float,
    n_batches: int,
) -> tuple[str, ...]:
    """Findings, each with what to change; none for a healthy model.

    Parameters
    ----------
    evaluations : sequence of HeldOut
    usage : (n_components,)
        Share of recent patches that used each unit.
    energy_of_nothing : float
        ½‖y‖² of a patch, on average: the error of empty codes.
    sparsity, prediction : float
        The weights that the model was fitted with.
    n_batches : int
        Number of batches learned from.
    """
    if not n_batches:
        raise UsageError("there is nothing to diagnose yet: fit first")
    findings = []
    active = float(usage.mean())
    dead = int((usage < _DEAD).sum())
    if active > _COLLAPSED:
        findings.append(
            f"codes have collapsed onto the prediction: {active:.0%} of a code is active, so nothing is sparse; lower "
            f"prediction (now {prediction:g}) or raise sparsity (now {sparsity:g})"
        )
    elif active < _EMPTY:
        findings.append(f"codes are empty: {active:.2%} of a code is active; lower sparsity (now {sparsity:g})")
    elif dead > _DEAD_SHARE * len(usage):
        findings.append(
            f"units die: {dead} of {len(usage)} are used by fewer than one patch in a thousand; lower sparsity (now "
            f"{sparsity:g}), take fewer units, or more and more varied patches"
        )
    if evaluations and active >= _EMPTY:
        last = evaluations[-1]
        explained, by_prediction = energy_of_nothing - last.error, energy_of_nothing - last.predicted_error
        if explained > 0 and by_prediction < _LAGGING * explained:
            findings.append(
                f"the encoder lags: predicted codes explain {max(by_prediction, 0) / explained:.0%} of what optimal "
                f"codes explain; learn longer (now {n_batches} batches), or raise prediction (now {prediction:g}) or "
                "encoder_rate"
            )
        earlier = [one for one in evaluations if one.batch <= 0.8 * n_batches]
        if len(earlier) > 1 and last.energy < (1 - _FALLING) * min(one.energy for one in earlier):
            findings.append(f"the energy still falls after {n_batches} batches; raise max_batches")
    return tuple(findings)
