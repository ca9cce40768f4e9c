"""Rejection of unknown images: a threshold from held-out images, with a guaranteed false alarm rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.samples import as_samples
from striate.stored import field

__all__ = ["ConformalRejection", "strangeness"]


def strangeness(logits: NDArray) -> NDArray:
    """Score of how little samples resemble any class; larger for stranger samples.

    The negative of the logits' log-sum-exp, the "free energy" of the classifier: unlike the largest probability, it
    distinguishes a sample that resembles no class from one that resembles two classes.

    Parameters
    ----------
    logits : float32 or float64 (n_samples, n_classes)

    Returns
    -------
    scores : (n_samples,), dtype of `logits`

    References
    ----------
    W. Liu, X. Wang, J. Owens, Y. Li, Energy-based out-of-distribution detection, NeurIPS 2020, equation 4.
    """
    if np.ndim(logits) != 2 or not np.shape(logits)[1]:
        raise UsageError(f"logits have shape {np.shape(logits)}, but (n_samples, n_classes) is needed")
    logits = np.asarray(logits)
    largest = logits.max(axis=1)
    result: NDArray = -(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)))
    return result


class ConformalRejection:
    """Calls a sample unknown if it is stranger than nearly all held-out samples of the known classes.

    Split conformal prediction: of new samples of the known classes, drawn like the held-out ones, at most the fraction
    `error_rate` is called unknown, on average over held-out sets, however good the classifier is. A worse classifier
    only detects fewer foreign samples.

    Parameters
    ----------
    error_rate : float
        Rate of false alarms, in (0, 1).

    Attributes
    ----------
    threshold_ : float
        A sample whose `strangeness` is above it is unknown; infinity if too few samples were held out to
        guarantee the rate: at least 1/error_rate − 1 are needed.
    n_held_out_ : int

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, Algorithmic learning in a random world, 2005. J. Lei et al., Distribution-free
    predictive inference for regression, JASA 2018, algorithm 2: the split and the rank.
    """

    threshold_: float
    n_held_out_: int

    def __init__(self, error_rate: float) -> None:
        name = "error_rate, that of false alarms for unknown,"
        self.error_rate: float = checked(name, error_rate, Real(above=0, below=1))

    def fit(self, logits: NDArray) -> Self:
        """Set the threshold from samples that the classifier was not fitted to.

        Parameters
        ----------
        logits : float32 or float64 (n_samples, n_classes)
        """
        scores = np.sort(strangeness(as_samples(logits, name="logits").astype(np.float64, copy=False)))
        self.n_held_out_ = len(scores)
        # Without this, rounding could turn 0.95 · 20 into 19.000000000000004, and the rank into 20.
        rank = math.ceil((1 - self.error_rate) * (len(scores) + 1) - 1e-9)
        self.threshold_ = float(scores[rank - 1]) if rank <= len(scores) else math.inf
        return self

    def is_unknown(self, logits: NDArray) -> NDArray[np.bool_]:
        """Which samples resemble no class, bool (n_samples,)."""
        if not hasattr(self, "threshold_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("this ConformalRejection is not fitted yet: call fit with logits of held-out samples")
        logits = as_samples(logits, name="logits").astype(np.float64, copy=False)
        result: NDArray[np.bool_] = strangeness(logits) > self.threshold_
        return result

    def to_state(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays (none) and a JSON header."""
        threshold = self.threshold_ if math.isfinite(self.threshold_) else None
        return {}, {"error_rate": self.error_rate, "threshold": threshold, "n_held_out": self.n_held_out_}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        rejection = cls(field(header, "error_rate", Real(above=0, below=1)))
        threshold = field(header, "threshold", Real() | None)
        rejection.threshold_ = math.inf if threshold is None else threshold
        rejection.n_held_out_ = field(header, "n_held_out", Integer(low=0))
        return rejection
