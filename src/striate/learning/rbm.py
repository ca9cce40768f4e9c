"""Restricted Boltzmann machines, learned by contrastive divergence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.coding.estimator import CodeEstimator
from striate.errors import UsageError
from striate.learning._contrastive_step import (
    ContrastiveStep,
    draw_states,
    log_sum_over_states,
    pass_key,
    to_means,
)
from striate.learning._rows import Rows, chunks
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start
from striate.parameters import Boolean, Choice, Integer, Real, Rule, Seed, check_parameters, checked, parameter
from striate.randomness import RandomState, generator_from
from striate.samples import all_finite, estimator_samples, is_sparse, writable
from striate.threads import single_threaded_blas

__all__ = ["RBM"]

_EARLY, _LATE, _EARLY_EPOCHS = 0.5, 0.9, 5  # momentum, as Hinton and Salakhutdinov (2006) set it
_NAMES = ("components", "hidden_bias", "visible_bias")
# Bounds of the largest number of the data: outside them the variance is far from 1, and learning fails.
_LEAST, _MOST = 1e-6, 1e6


class RBM(OnlineLearner, CodeEstimator):
    """Restricted Boltzmann machine.

    Energy of binary units, `W` being `components_`::

        E(v, h) = −v·visible_bias − h·hidden_bias − h·W·v

    Gaussian visible units have ½‖v − visible_bias‖² in place of the first term, linear hidden units
    ½‖h − hidden_bias‖² in place of the second; both have unit variance. Learning gives the same bits for every number
    of threads.

    Parameters
    ----------
    n_components : int, default 256
        The number of hidden units.
    visible : {"binary", "gaussian"}, default "binary"
        Binary units take values in [0, 1]; for Gaussian ones every feature should have about unit variance.
    hidden : {"binary", "linear"}, default "binary"
    n_steps : int, default 1
        Gibbs steps before the negative statistics are taken, the k of CD-k. With 1, the probabilities of visible units
        are used instead of their states, as in the paper.
    persistent : bool, default False
        Whether the chains go on from batch to batch rather than start at the data; there is one chain per sample of
        the first batch.
    learning_rate : float, optional
        By default 0.1, or 0.001 if a layer is Gaussian or linear, since its statistics are not bounded.
    falling_rate : bool, optional
        Whether the rate falls linearly to 0 during `fit`; by default if chains persist, as in Tieleman (2008): at a
        constant rate persistent chains end with a likelihood several nats below that of CD-1, at a falling rate
        above it.
    momentum : float, optional
        By default 0.5 for five epochs and then 0.9, as in the paper; none if chains persist, since they can only
        follow a model that changes slowly.
    weight_decay : float, default 2e-4
        Multiplied by the rate; biases do not decay. The default is the paper's.
    batch_size : int, default 100
    n_epochs : int, default 10
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
    hidden_bias_ : ndarray (n_components,)
    visible_bias_ : ndarray (n_features,)
    n_batches_ : int
        Batches learned from.
    n_epochs_ : int
        Number of epochs of `fit`, plus the number of calls of `partial_fit`.

    References
    ----------
    Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.
    Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import RBM
    >>> rows = (np.random.default_rng(0).random((100, 20)) < 0.3).astype(np.float32)
    >>> RBM(8, random_state=0).fit_transform(rows).shape
    (100, 8)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1),
        "visible": Choice("binary", "gaussian"),
        "hidden": Choice("binary", "linear"),
        "n_steps": Integer(low=1),
        "persistent": Boolean(),
        "learning_rate": Real(low=0) | None,
        "falling_rate": Boolean() | None,
        "momentum": Real(low=0, below=1) | None,
        "weight_decay": Real(low=0),
        "batch_size": Integer(low=1),
        "n_epochs": Integer(low=1),
        "verbose": VERBOSE,
        "random_state": Seed(),
    }

    _learned = ("components_", "hidden_bias_", "visible_bias_")
    _checkpoint_name = "rbm"
    _phase_name = "learning a Boltzmann machine"

    _chains: NDArray[Any] | None
    _velocities: list[NDArray[Any]]

    def __init__(
        self,
        n_components: int = 256,
        *,
        visible: Literal["binary", "gaussian"] = "binary",
        hidden: Literal["binary", "linear"] = "binary",
        n_steps: int = 1,
        persistent: bool = False,
        learning_rate: float | None = None,
        falling_rate: bool | None = None,
        momentum: float | None = None,
        weight_decay: float = 2e-4,
        batch_size: int = 100,
        n_epochs: int = 10,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.visible = visible
        self.hidden = hidden
        self.n_steps = n_steps
        self.persistent = persistent
        self.learning_rate = learning_rate
        self.falling_rate = falling_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.verbose = verbose
        self.random_state = random_state

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Continue learning from the rows of `X`, each once, in order, `batch_size` at a time, at the full rate.

        The momentum counts one call as one epoch: calls with all data do what `fit` does if `falling_rate` is off.
        """
        super().partial_fit(X)
        self.n_epochs_ += 1
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """Probabilities of hidden units (means of linear ones): (n_samples, n_components), dtype of `X`."""
        check_is_fitted(self)
        samples = self._samples(X, reset=False)
        codes = np.empty((len(samples), len(self.components_)), samples.dtype)
        weights, bias = (a.astype(samples.dtype, copy=False) for a in (self.components_.T, self.hidden_bias_))
        hidden = parameter(self, "hidden")
        for rows in chunks(len(samples)):
            np.dot(samples[rows], weights, out=codes[rows])
            to_means(codes[rows], bias, hidden)
        return codes

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Probabilities or means of the visible units, given hidden ones: (n_samples, n_features), dtype of `X`."""
        means = super().inverse_transform(X)
        to_means(means, self.visible_bias_.astype(means.dtype, copy=False), parameter(self, "visible"))
        return means

    def reconstruct(self, X: NDArray[Any]) -> NDArray[Any]:
        """The visible probabilities given the hidden probabilities of `X`, without noise."""
        return self.inverse_transform(self.transform(X))

    def sample(
        self,
        n_samples: int = 1,
        n_steps: int = 1000,
        *,
        start: NDArray[Any] | None = None,
        means: bool = False,
        random_state: RandomState = None,
    ) -> NDArray[Any]:
        """Visible states of chains after some Gibbs steps.

        Parameters
        ----------
        n_samples : int, default 1
            The number of chains; each gives one sample.
        n_steps : int, default 1000
            The number of passes to the hidden units and back. Chains need hundreds to leave the noise they start at.
        start : ndarray (n_rows, n_features), optional
            Samples at which the chains start, used in turn; by default noise: 0 or 1 with equal probability, or normal
            around the bias.
        means : bool, default False
            Whether to return the probabilities (the means) that the last states are drawn with, which make smoother
            images.
        random_state : int, Generator, RandomState or None

        Returns
        -------
        ndarray (n_samples, n_features), dtype of `components_`
        """
        check_is_fitted(self)
        check_parameters(self, self._rules)
        n_samples = checked("n_samples", n_samples, Integer(low=1))
        n_steps = checked("n_steps", n_steps, Integer(low=0))
        means = checked("means", means, Boolean())
        of_visible, of_hidden = parameter(self, "visible"), parameter(self, "hidden")
        generator = generator_from(checked("random_state", random_state, Seed()))
        key, dtype = int(generator.integers(2**62)), self.components_.dtype
        if start is None:
            shape = n_samples, self.components_.shape[1]
            visible = np.zeros(shape, dtype)
            of_noise = np.zeros(shape[1], dtype) if of_visible == "binary" else self.visible_bias_
            draw_states(visible, of_noise, of_visible, pass_key(key, 0, 0))
        else:
            given = self._samples(start, reset=False)
            visible = given[np.arange(n_samples) % len(given)].astype(dtype)
        hidden = np.empty((n_samples, len(self.components_)), dtype)
        for step in range(1, n_steps + 1):
            np.dot(visible, self.components_.T, out=hidden)
            draw_states(hidden, self.hidden_bias_, of_hidden, pass_key(key, step, 0))
            np.dot(hidden, self.components_, out=visible)
            if means and step == n_steps:
                to_means(visible, self.visible_bias_, of_visible)
            else:
                draw_states(visible, self.visible_bias_, of_visible, pass_key(key, step, 1))
        return visible

    def free_energy(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """−log Σ_h exp(−E(v, h)) of each row (an integral over linear units), float64: (n_samples,)."""
        check_is_fitted(self)
        samples = self._samples(X, reset=False)
        weights, visible_bias, hidden_bias = (
            a.astype(np.float64) for a in (self.components_, self.visible_bias_, self.hidden_bias_)
        )
        energies = np.empty(len(samples))
        of_visible, of_hidden = parameter(self, "visible"), parameter(self, "hidden")
        for rows in chunks(len(samples)):
            v = samples[rows].astype(np.float64)
            hidden = log_sum_over_states(v @ weights.T, hidden_bias, of_hidden)
            visible = -v @ visible_bias if of_visible == "binary" else ((v - visible_bias) ** 2).sum(axis=1) / 2
            energies[rows] = visible - hidden
        return energies

    def log_likelihood(self, X: NDArray[Any], *, log_partition: float) -> NDArray[np.float64]:
        """Log p(v) of each row in nats, given log Z (see `exact_log_partition` and `annealed_log_partition`)."""
        return -self.free_energy(X) - checked("log_partition", log_partition, Real())

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes an estimator with the same codes and energies.

        With `training` also velocities and chains, with which learning continues with the same bits; they double the
        size. Without them, further learning starts new chains.
        """
        arrays, header = super().to_state(training=training)
        if training:
            arrays |= {f"velocity.{name}": velocity for name, velocity in zip(_NAMES, self._velocities, strict=True)}
            if self._chains is not None:
                arrays["chains"] = self._chains
        return arrays, header | {"n_epochs": self.n_epochs_}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self.n_epochs_ = int(header["n_epochs"])
        training = f"velocity.{_NAMES[0]}" in arrays
        self._velocities = [
            np.array(arrays[f"velocity.{name}"]) if training else np.zeros_like(parameter)
            for name, parameter in zip(_NAMES, self._parameters, strict=True)
        ]
        self._chains = np.array(arrays["chains"]) if "chains" in arrays else None

    def _begin(self, start: Start) -> None:
        dtype = start.samples.dtype
        shape = parameter(self, "n_components"), start.samples.shape[1]
        self.components_ = (0.1 * start.rng.standard_normal(shape)).astype(dtype)
        self.hidden_bias_ = np.zeros(shape[0], dtype)
        self.visible_bias_ = np.zeros(shape[1], dtype)
        self._velocities = [np.zeros_like(parameter) for parameter in self._parameters]
        self._chains = None
        self.n_epochs_ = 0

    def _own_arrays(self) -> None:
        super()._own_arrays()
        self._velocities = list(map(writable, self._velocities))
        self._chains = None if self._chains is None else writable(self._chains)

    @property
    def _parameters(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.components_, self.hidden_bias_, self.visible_bias_

    @contextmanager
    def _context(self) -> Iterator[None]:
        """Allocate the arrays of a step once for all batches; they are as large as the weights and a batch."""
        weights, of_hidden, of_visible = self._velocities
        self._step = ContrastiveStep(
            self._parameters, (weights, of_hidden, of_visible),
            visible=parameter(self, "visible"), hidden=parameter(self, "hidden"),
            batch_size=parameter(self, "batch_size"), n_steps=parameter(self, "n_steps"), seed=self._seed,
        )  # fmt: skip
        try:
            with single_threaded_blas():
                yield
        finally:
            del self._step

    def _learn(self, batch: NDArray[Any], course: Course) -> None:
        momentum, persistent, falls = (parameter(self, name) for name in ("momentum", "persistent", "falling_rate"))
        falls = persistent if falls is None else falls
        share = 1 - self.n_batches_ / course.n_batches if falls and course.n_batches else 1.0
        if course.per_epoch is not None:
            self.n_epochs_ = self.n_batches_ // course.per_epoch
        if momentum is None:
            momentum = 0.0 if persistent else _EARLY if self.n_epochs_ < _EARLY_EPOCHS else _LATE
        with np.errstate(over="ignore", invalid="ignore"):  # reported in one sentence below
            if persistent and self._chains is None:
                chains = np.dot(batch.astype(self.components_.dtype, copy=False), self.components_.T)
                draw_states(chains, self.hidden_bias_, parameter(self, "hidden"), pass_key(self._seed, 0, 0))
                self._chains = chains
            self._step.update(
                batch, self._chains if persistent else None, self.n_batches_,
                momentum=momentum, rate=share * self._rate, decay=parameter(self, "weight_decay"),
            )  # fmt: skip
            # Weights that are not finite spread to the biases one batch later; checking the biases is cheaper.
            self._check_learned(self.hidden_bias_, self.visible_bias_)
        if course.per_epoch is not None:
            self.n_epochs_ = (self.n_batches_ + 1) // course.per_epoch

    def _conclude(self) -> None:
        self._check_learned()

    @property
    def _rate(self) -> float:
        rate = parameter(self, "learning_rate")
        binary = parameter(self, "visible") == "binary" and parameter(self, "hidden") == "binary"
        return float(rate) if rate is not None else 0.1 if binary else 0.001

    def _check_learned(self, *arrays: NDArray[Any]) -> None:
        """Raise an error if weights have grown without bound."""
        if all(all_finite(array) for array in arrays or self._parameters):
            return
        scale, decay = "", parameter(self, "weight_decay")
        if decay * self._rate > 1:
            scale = f" or weight_decay (now {decay:g})"
        elif parameter(self, "visible") == "gaussian":
            scale = ", or bring every feature to unit variance, as StandardScaler does"
        raise UsageError(
            f"RBM: learning has diverged after {self.n_batches_} batches, and the weights are no longer finite: lower "
            f"learning_rate (now {self._rate:g}){scale}"
        )

    def _check_range(self, values: NDArray[Any], *, all_of_them: bool = False) -> None:
        if not values.size:
            return
        lowest, highest = float(values.min()), float(values.max())
        if parameter(self, "visible") == "binary":
            if lowest < 0 or highest > 1:
                wrong = "Negative values in data" if lowest < 0 else "values above 1"
                raise UsageError(
                    f"RBM: {wrong}: binary visible units need values in [0, 1], not {lowest:g} to {highest:g}; "
                    'scale the data, or set visible="gaussian"'
                )
            return
        largest = max(-lowest, highest)
        if largest > _MOST or (all_of_them and 0 < largest < _LEAST):
            raise UsageError(
                f"RBM: Gaussian visible units need features of about unit variance, and the largest number here is "
                f"{largest:.3g}: scale the data, as StandardScaler does"
            )

    def _samples(self, X: Any, *, reset: bool) -> Rows:
        """The data; a memory map is checked part by part when it is read."""
        check_parameters(self, self._rules)
        unread = isinstance(X, np.memmap) and X.dtype in (np.float32, np.float64)
        samples = estimator_samples(self, X, reset=reset, finite=not unread, sparse=True)
        if unread:
            return Rows(samples, unread="RBM: the samples", check=self._check_range)
        self._check_range(samples.data if is_sparse(samples) else samples, all_of_them=reset)
        return Rows(samples)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.visible == "binary"
        return tags
