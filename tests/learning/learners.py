"""Every learner in several settings, small, and data that suit each: what the tests of any input go through."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import striate.learning
from striate.encoders import ENCODERS
from striate.learning import (
    KSVD,
    PSD,
    RBM,
    DeepAutoencoder,
    GaborFilters,
    RandomFilters,
    SparseCoding,
    TemplateFilters,
    TopographicPSD,
    TopographicSparseCoding,
)

__all__ = ["CLASSES", "LEARNERS", "codes_of", "data_for"]

_SHORT: dict[str, Any] = {"max_batches": 3, "random_state": 0}
_ONCE: dict[str, Any] = {"n_epochs": 1, "batch_size": 20, "random_state": 0}

# Names, and what makes a learner that is not fitted, with a number of units where that is free.
LEARNERS: dict[str, Callable[..., Any]] = {
    **{f"psd-{kind.replace(' ', '-')}": lambda n=4, kind=kind: PSD(n, encoder=kind, **_SHORT) for kind in ENCODERS},
    "psd-without-prediction": lambda n=4: PSD(n, prediction=0, remove_mean=False, **_SHORT),
    "topographic-psd": lambda n=4: TopographicPSD(n, sparsity=0.5, **_SHORT),
    "topographic-psd-box": lambda n=4: TopographicPSD(
        n, weights="box", torus=False, encoder="smooth shrinkage", sparsity=0.5, **_SHORT
    ),
    "topographic-coding": lambda n=4: TopographicSparseCoding(n, sparsity=0.5, **_SHORT),
    "random": lambda n=4: RandomFilters(n, random_state=0),
    "templates": lambda n=4: TemplateFilters(n, random_state=0),
    "gabor": lambda n=16: GaborFilters(16),
    "sparse-coding": lambda n=4: SparseCoding(n, active_fraction=0.5, **_SHORT),
    "sparse-coding-number": lambda n=4: SparseCoding(n, sparsity=0.2, positive=True, method="fista", **_SHORT),
    "k-svd": lambda n=4: KSVD(n, max_nonzero=2, n_epochs=3, random_state=0),
    "k-svd-incoherent": lambda n=4: KSVD(n, max_nonzero=2, incoherence=0.5, n_epochs=3, random_state=0),
    "rbm-binary": lambda n=4: RBM(n, **_ONCE),
    "rbm-gaussian": lambda n=4: RBM(n, visible="gaussian", hidden="linear", **_ONCE),
    "rbm-persistent": lambda n=4: RBM(n, persistent=True, n_steps=2, **_ONCE),
    "autoencoder": lambda n=4: DeepAutoencoder((5, n), **_ONCE),
    "autoencoder-binary": lambda n=4: DeepAutoencoder((5, n), code="binary", visible="binary", **_ONCE),
    "autoencoder-words": lambda n=4: DeepAutoencoder((5, n), code="logistic", visible="softmax", **_ONCE),
    "autoencoder-rbm": lambda n=4: DeepAutoencoder((5, n), pretraining="rbm", **_ONCE),
    "autoencoder-psd": lambda n=4: DeepAutoencoder((5, n), pretraining="psd", visible="gaussian", **_ONCE),
}

CLASSES: list[Any] = sorted(
    (
        c
        for c in vars(striate.learning).values()
        if inspect.isclass(c) and hasattr(c, "get_params") and hasattr(c, "fit")
    ),
    key=lambda c: c.__name__,
)


def data_for(name: str, n_samples: int = 60, n_features: int = 9, dtype: Any = np.float32) -> np.ndarray:
    """Normal numbers, or zeros and ones for what takes numbers in [0, 1] or counts."""
    rng = np.random.default_rng(1)
    if name in ("rbm-binary", "rbm-persistent", "autoencoder-binary", "autoencoder-words", "autoencoder-rbm"):
        return (rng.random((n_samples, n_features)) < 0.4).astype(dtype)
    return rng.standard_normal((n_samples, n_features)).astype(dtype)


def codes_of(learner: Any, rows: Any) -> Any:
    """The codes that `inverse_transform` takes: those of `transform`, or of the units where that pools them."""
    return learner.transform(rows, simple=True) if hasattr(learner, "sheet_") else learner.transform(rows)
