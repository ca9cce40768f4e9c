"""Restricted Boltzmann machines, learned by contrastive divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.errors import UsageError
from striate.learning._patch_learner import chunks, is_plain
from striate.randomness import RandomState, generator_from

__all__ = ["RBM", "log_sum_over_states"]

_EARLY, _LATE, _EARLY_EPOCHS = 0.5, 0.9, 5  # momentum, as Hinton and Salakhutdinov (2006) set it


def log_sum_over_states(drive: np.ndarray, bias: np.ndarray, kind: str) -> np.ndarray:
    """Log of the sum over all states of a layer, given what the other layer says to it: float64 (n_samples,).

    Parameters
    ----------
    drive : float64 (n_samples, n_units)
        The other layer times the weights.
    bias : float64 (n_units,)
    kind : str
        "binary", or any other for units of unit variance about `bias`, over which the sum is an integral.
    """
    if kind == "binary":
        total: np.ndarray = np.logaddexp(0, drive + bias).sum(axis=1)
    else:
        total = (drive * (bias + drive / 2) + np.log(2 * np.pi) / 2).sum(axis=1)
    return total


class RBM(TransformerMixin, BaseEstimator):
    """Restricted Boltzmann machine.

    Energy of binary units, `W` being `components_`::

        E(v, h) = −v·visible_bias − h·hidden_bias − h·W·v

    Gaussian visible units have ½‖v − visible_bias‖² in place of the first term, linear hidden units
    ½‖h − hidden_bias‖² in place of the second; both have unit variance.

    Parameters
    ----------
    n_components : int, default 256
    visible : {"binary", "gaussian"}, default "binary"
        Binary units take values in [0, 1]; for Gaussian ones every feature should have about unit variance.
    hidden : {"binary", "linear"}, default "binary"
    n_steps : int, default 1
        Gibbs steps to the negative statistics, the k of CD-k.
    persistent : bool, default False
        Whether the chains go on from batch to batch rather than start at the data.
    learning_rate : float, optional
        0.1, or 0.001 where a layer is Gaussian or linear, whose statistics are not bounded.
    weight_decay : float, default 2e-4
    batch_size : int, default 100
    n_epochs : int, default 10
    random_state : int, Generator, RandomState or None

    References
    ----------
    Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, Science 2006.
    """

    def __init__(
        self,
        n_components: int = 256,
        *,
        visible: str = "binary",
        hidden: str = "binary",
        n_steps: int = 1,
        persistent: bool = False,
        learning_rate: float | None = None,
        weight_decay: float = 2e-4,
        batch_size: int = 100,
        n_epochs: int = 10,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.visible = visible
        self.hidden = hidden
        self.n_steps = n_steps
        self.persistent = persistent
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Learn from `X` (n_samples, n_features), `n_epochs` times in an order drawn anew; a memory map stays one."""
        X = self._validated(X, reset=True)
        self._begin(X)
        for epoch in range(self.n_epochs):
            order = self._generator.permutation(len(X))
            momentum = _EARLY if epoch < _EARLY_EPOCHS else _LATE
            for start in range(0, len(X), self.batch_size):
                self._update(X[np.sort(order[start : start + self.batch_size])], momentum)
        return self

    def partial_fit(self, X: np.ndarray, y: object = None) -> Self:
        """Go on learning from the rows of `X` in their order, each once."""
        first = not hasattr(self, "components_")
        X = self._validated(X, reset=first)
        if first:
            self._begin(X)
        for start in range(0, len(X), self.batch_size):
            self._update(X[start : start + self.batch_size], _EARLY)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of the hidden units (their means, if linear): (n_samples, n_components)."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        codes = np.empty((len(X), len(self.components_)), self.components_.dtype)
        for rows in chunks(len(X)):
            codes[rows] = self._hidden_means(X[rows])
        return codes

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Probabilities or means of the visible units, given hidden ones: (n_samples, n_features)."""
        check_is_fitted(self)
        return self._visible_means(np.asarray(X, self.components_.dtype))

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Down again from the hidden probabilities; without noise."""
        return self.inverse_transform(self.transform(X))

    def free_energy(self, X: np.ndarray) -> np.ndarray:
        """−log Σ_h exp(−E(v, h)) of every row (an integral over linear units), float64: (n_samples,)."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        weights, visible_bias, hidden_bias = (
            a.astype(np.float64) for a in (self.components_, self.visible_bias_, self.hidden_bias_)
        )
        energies = np.empty(len(X))
        for rows in chunks(len(X)):
            v = np.asarray(X[rows], np.float64)
            hidden = log_sum_over_states(v @ weights.T, hidden_bias, self.hidden)
            visible = -v @ visible_bias if self.visible == "binary" else ((v - visible_bias) ** 2).sum(axis=1) / 2
            energies[rows] = visible - hidden
        return energies

    def log_likelihood(self, X: np.ndarray, *, log_partition: float) -> np.ndarray:
        """Log p(v) of every row in nats, given log Z (see `exact_log_partition` and `annealed_log_partition`)."""
        return -self.free_energy(X) - log_partition

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes an estimator with the same codes and energies."""
        check_is_fitted(self)
        names = ("components_", "hidden_bias_", "visible_bias_")
        parameters = {name: value for name, value in self.get_params().items() if is_plain(value)}
        return {name.rstrip("_"): getattr(self, name) for name in names}, {"parameters": parameters}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`; learning that goes on starts with no momentum and new chains."""
        machine = cls(**header["parameters"])
        for name in ("components", "hidden_bias", "visible_bias"):
            setattr(machine, name + "_", np.array(arrays[name]))  # a copy: what a file gave may not be writable
        machine.n_features_in_ = machine.components_.shape[1]
        machine._start_learning(generator_from(machine.random_state))
        return machine

    def _begin(self, X: np.ndarray) -> None:
        generator = generator_from(self.random_state)
        shape = self.n_components, X.shape[1]
        self.components_ = (0.1 * generator.standard_normal(shape)).astype(X.dtype)
        self.hidden_bias_ = np.zeros(shape[0], X.dtype)
        self.visible_bias_ = np.zeros(shape[1], X.dtype)
        self._start_learning(generator)

    def _start_learning(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._velocity = [np.zeros_like(a) for a in (self.components_, self.hidden_bias_, self.visible_bias_)]
        self._chains: np.ndarray | None = None

    def _update(self, batch: np.ndarray, momentum: float) -> None:
        v = np.asarray(batch, self.components_.dtype)
        h = self._hidden_means(v)
        chains = self._chains if self.persistent else None
        state = self._sampled(h, self.hidden) if chains is None else chains
        for step in range(self.n_steps):
            goes_on = self.persistent or step + 1 < self.n_steps
            fantasy = self._visible_means(state)
            if goes_on:
                fantasy = self._sampled(fantasy, self.visible)
            means = self._hidden_means(fantasy)
            if goes_on:
                state = self._sampled(means, self.hidden)
        if self.persistent:
            self._chains = state
        binary = self.visible == "binary" and self.hidden == "binary"
        rate = self.learning_rate if self.learning_rate is not None else 0.1 if binary else 0.001
        gradients = (
            h.T @ v / len(v) - means.T @ fantasy / len(fantasy) - self.weight_decay * self.components_,
            h.mean(axis=0) - means.mean(axis=0),
            v.mean(axis=0) - fantasy.mean(axis=0),
        )
        parameters = self.components_, self.hidden_bias_, self.visible_bias_
        for parameter, velocity, gradient in zip(parameters, self._velocity, gradients, strict=True):
            velocity *= momentum
            velocity += rate * gradient
            parameter += velocity

    def _hidden_means(self, v: np.ndarray) -> np.ndarray:
        drive = np.asarray(v, self.components_.dtype) @ self.components_.T + self.hidden_bias_
        return expit(drive) if self.hidden == "binary" else drive

    def _visible_means(self, h: np.ndarray) -> np.ndarray:
        drive = h @ self.components_ + self.visible_bias_
        return expit(drive) if self.visible == "binary" else drive

    def _sampled(self, means: np.ndarray, kind: str) -> np.ndarray:
        if kind == "binary":
            return (self._generator.random(means.shape, means.dtype) < means).astype(means.dtype)
        return means + self._generator.standard_normal(means.shape, means.dtype)

    def _validated(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        if self.visible not in ("binary", "gaussian"):
            raise UsageError(f'visible is {self.visible!r}; it must be "binary" or "gaussian".')
        if self.hidden not in ("binary", "linear"):
            raise UsageError(f'hidden is {self.hidden!r}; it must be "binary" or "linear".')
        X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        if self.visible == "binary":
            lowest, highest = float(X.min()), float(X.max())
            if lowest < 0 or highest > 1:
                raise UsageError(
                    f"Binary visible units need values in [0, 1], not {lowest:g} to {highest:g}; "
                    'scale the data, or set visible="gaussian".'
                )
        return X
