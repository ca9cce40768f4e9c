"""Deep autoencoders: many layers down to a short code, and as many back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning._adam import Adam
from striate.learning._patch_learner import chunks, is_plain
from striate.learning._pretraining import Layer, pretrain_by_psd, pretrain_by_rbm
from striate.learning._schedule import Schedule
from striate.learning._unrolled import ACTIVATIONS, forward, gradients
from striate.progress import Progress
from striate.randomness import RandomState, generator_from

__all__ = ["DeepAutoencoder"]

_MOST_PRETRAINED = 20_000  # samples: a layer's beginning needs no more
_WARM_UP = 100  # batches in which the rate rises: Adam's first moments are noise
_OF_PRETRAINING = {None: "elu", "rbm": "logistic", "psd": "tanh"}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "pretraining": (None, "rbm", "psd"),
    "code": ("linear", "logistic", "binary"),
    "visible": ("auto", "binary", "gaussian", "softmax"),
    "loss": ("cross-entropy", "squared"),
    "activation": ("auto", *ACTIVATIONS),
}


class DeepAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Layers down to a short code and as many back, learned so that the data come out as they went in.

    Parameters
    ----------
    layers : sequence of int, default (1000, 500, 250, 30)
        Units of each layer down to the code; the way back has the same in reverse. The default is the paper's for
        digits.
    pretraining : "rbm", "psd" or None, default None
        How layers begin: each as an RBM learns it from the one below, with its transpose as the way back, as in the
        paper; or as PSD learns it, with PSD's dictionary as the way back; or at random, which scales that keep the
        variance from layer to layer make possible.
    code : {"linear", "logistic", "binary"}, default "linear"
        Units of the last layer. Binary ones learn as logistic ones under noise, which only saturated units survive, and
        are then thresholded at ½.
    visible : {"auto", "binary", "gaussian", "softmax"}, default "auto"
        What the data are: in [0, 1], real numbers, or counts of words, of which the network sees the probabilities.
        "auto" is binary where all data that `fit` first sees lie in [0, 1], and gaussian elsewhere.
    loss : {"cross-entropy", "squared"}, default "cross-entropy"
        For binary data; real ones have the squared error, words the multinomial cross-entropy. The paper learns by
        cross-entropy and reports squared errors.
    activation : {"auto", "logistic", "tanh", "relu", "elu"}, default "auto"
        Of the hidden layers: "elu" without pre-training, else that of the learner; the paper's is "logistic". On
        digits, "elu" learns faster than "relu" (after five epochs of 20,000, a squared error of 6.5 against 7.1).
    n_epochs : int, default 40
    batch_size : int, default 250
    learning_rate : float, default 1e-3
        Of Adam; in `fit` it falls to 0 along half a cosine.
    weight_decay : float, default 0.0
        Share of a weight that is lost each step, relative to the rate (decoupled, as in AdamW).
    input_noise : float, default 0.0
        Share of the inputs that is set to 0 in learning, as a denoising autoencoder has it: against overfitting.
    code_noise : float, default 4.0
        Standard deviation of the noise before a binary code's logistic; it rises from 0 over a fit.
    validation_fraction : float, default 0.0
        Held out, at most 1,000 samples, and looked at after each epoch.
    patience : int, optional
        Learning stops where the held-out error has not fallen for so many epochs.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    weights_ : list of ndarray (n_out, n_in)
        Of all layers in the order of the pass; the first half encodes.
    biases_ : list of ndarray (n_out,)
    visible_ : str
        What the data were taken for.
    history_ : list of float
        The held-out error after each epoch, minus the `score`.
    n_batches_ : int
    n_features_in_ : int

    References
    ----------
    Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.
    Salakhutdinov, Hinton, "Semantic hashing", 2007, for binary codes. Kingma, Ba, "Adam", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import DeepAutoencoder
    >>> rows = np.random.default_rng(0).random((100, 20))
    >>> learner = DeepAutoencoder((10, 3), n_epochs=2, random_state=0).fit(rows)
    >>> learner.transform(rows).shape
    (100, 3)
    """

    weights_: list[NDArray[Any]]
    biases_: list[NDArray[Any]]
    history_: list[float]

    def __init__(
        self,
        layers: Sequence[int] = (1000, 500, 250, 30),
        *,
        pretraining: Literal["rbm", "psd"] | None = None,
        code: Literal["linear", "logistic", "binary"] = "linear",
        visible: Literal["auto", "binary", "gaussian", "softmax"] = "auto",
        loss: Literal["cross-entropy", "squared"] = "cross-entropy",
        activation: Literal["auto", "logistic", "tanh", "relu", "elu"] = "auto",
        n_epochs: int = 40,
        batch_size: int = 250,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        input_noise: float = 0.0,
        code_noise: float = 4.0,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.layers = layers
        self.pretraining = pretraining
        self.code = code
        self.visible = visible
        self.loss = loss
        self.activation = activation
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.input_noise = input_noise
        self.code_noise = code_noise
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    def fit(
        self,
        X: NDArray[Any],
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str = "autoencoder",
        progress: Progress | None = None,
        phase_name: str = "learning an autoencoder",
    ) -> Self:
        """Learn from samples.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            An array or a memory map, of which a batch at a time is read, in random order.
        y : ignored
        checkpoint : Checkpoint, optional
            Where the state is saved whenever that is due, and found again: a fit that was killed goes on to the same
            bits, given the same data, parameters and integer `random_state`.
        checkpoint_name : str
        progress : Progress, optional
        phase_name : str

        Raises
        ------
        UsageError
            For parameters that make no network, or data that do not suit `visible`.
        """
        # Finite or not is seen batch by batch: of a memory map nothing but batches is read.
        X = self._validated(X, reset=True, finite=not isinstance(X, np.memmap))
        saved = checkpoint.load(checkpoint_name) if checkpoint is not None else None
        if saved is None:
            self._begin(X, progress)
            if checkpoint is not None and self.pretraining is not None:  # minutes of work, whenever the next is due
                checkpoint.save(checkpoint_name, *self.to_state(training=True))
        else:
            self._restore(*saved)
        schedule = Schedule(len(X), self.batch_size, held_out_fraction=self.validation_fraction, seed=self._seed)
        per_epoch = schedule.batches_per_epoch
        budget = self.n_epochs * per_epoch
        with (progress or Progress()).phase(phase_name, total=budget, unit="batches") as phase:
            phase.advance(self.n_batches_)
            for rows in schedule.batches(self.n_batches_, budget):
                if self._has_converged():
                    break
                done = self.n_batches_ / budget
                rate = min(1.0, (self.n_batches_ + 1) / min(_WARM_UP, per_epoch)) * 0.5 * (1 + np.cos(np.pi * done))
                self._learn(np.asarray(X[np.sort(rows)]), rate, noise=done)
                if self.n_batches_ % per_epoch == 0 and schedule.held_out.size:
                    self.history_.append(-self.score(np.asarray(X[np.sort(schedule.held_out)])))
                    phase.note(f"held-out error {self.history_[-1]:.4g}")
                phase.advance()
                if checkpoint is not None and checkpoint.due():
                    checkpoint.save(checkpoint_name, *self.to_state(training=True))
        if checkpoint is not None:
            checkpoint.save(checkpoint_name, *self.to_state(training=True))
        return self

    def partial_fit(self, X: NDArray[Any], y: object = None) -> Self:
        """Go on learning from more samples at the full rate, in their order, `batch_size` at a time, each once.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            The first call sets the scale, and what "auto" means; it should have some hundred samples.
        y : ignored
        """
        started = hasattr(self, "weights_")
        X = self._validated(X, reset=not started)
        if not started:
            self._begin(X, None)
        for start in range(0, len(X), self.batch_size):
            self._learn(X[start : start + self.batch_size], 1.0, noise=1.0)
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """The codes, (n_samples, n_components), dtype of `X`; binary ones are 0.0 or 1.0."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        n_encoding = len(self.weights_) // 2
        codes = np.empty((len(X), len(self.biases_[n_encoding - 1])), X.dtype)
        for rows in chunks(len(X)):
            inputs, _ = self._inputs(X[rows])
            values = self._pass(inputs, 0, n_encoding)
            if self.code == "binary":
                values = (values > 0).astype(X.dtype)
            codes[rows] = expit(values) if self.code == "logistic" else values
        return codes

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """What codes stand for, (n_samples, n_features), in the units of the data; of words, their probabilities."""
        check_is_fitted(self)
        codes = np.asarray(X)
        codes = codes.astype(codes.dtype if codes.dtype in (np.float32, np.float64) else np.float64, copy=False)
        outputs = np.empty((len(codes), self.n_features_in_), codes.dtype)
        for rows in chunks(len(codes)):
            values = self._pass(codes[rows], len(self.weights_) // 2, len(self.weights_))
            if self.visible_ == "binary":
                values = expit(values)
            elif self.visible_ == "softmax":
                values = np.exp(log_softmax(values, axis=1))
            else:
                values = values * self.scale_ + self.mean_
            outputs[rows] = values
        return outputs

    def score(self, X: NDArray[Any], y: object = None) -> float:
        """Minus the mean of what is reported: the squared error a sample; of words, the cross-entropy in nats."""
        X = self._validated(X, reset=False)
        errors = 0.0
        for rows in chunks(len(X)):
            samples = X[rows]
            outputs = self.inverse_transform(self.transform(samples)).astype(np.float64)
            if self.visible_ == "softmax":
                errors -= float((self._inputs(samples)[1] * np.log(np.maximum(outputs, 1e-30))).sum())
            else:
                errors += float(np.square(outputs - samples).sum())
        return -errors / len(X)

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also Adam's moments, which triple the size."""
        check_is_fitted(self)
        arrays = {**self._parameters(), "mean": self.mean_}
        if training:
            arrays |= self._moments.to_arrays()
        parameters = {name: value for name, value in self.get_params().items() if is_plain(value)}
        header = {
            "parameters": parameters | {"layers": [int(units) for units in self.layers]},
            "scale": self.scale_,
            "visible": self.visible_,
            "activation": self.activation_,
            "seed": self._seed,
            "n_batches": self.n_batches_,
            "n_steps": self._moments.n_steps if training else 0,
            "history": list(self.history_),
        }
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        parameters = dict(header["parameters"])
        learner = cls(**parameters | {"layers": tuple(parameters["layers"])})
        learner._restore(arrays, header)
        return learner

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        # Copies: what was read from a file may not be writable, and learning goes on in place.
        numbers = range(2 * len(self.layers))
        self._set([(np.array(arrays[f"weights.{n}"]), np.array(arrays[f"biases.{n}"])) for n in numbers])
        self.mean_, self.scale_ = np.array(arrays["mean"]), float(header["scale"])
        self.visible_, self.activation_ = str(header["visible"]), str(header["activation"])
        self._seed, self.n_batches_ = int(header["seed"]), int(header["n_batches"])
        self.history_ = [float(value) for value in header["history"]]
        self.n_features_in_ = self.weights_[0].shape[1]
        if "first.weights.0" in arrays:
            self._moments.restore(arrays, int(header["n_steps"]))

    def _begin(self, X: NDArray[Any], progress: Progress | None) -> None:
        rng = generator_from(self.random_state)
        self._seed = int(rng.integers(2**62))
        self._set_scale(X)
        self.activation_ = _OF_PRETRAINING[self.pretraining] if self.activation == "auto" else self.activation
        self.n_batches_ = 0
        self.history_ = []
        if self.pretraining is None:
            sizes = (X.shape[1], *self.layers)
            # The scale that keeps the variance from layer to layer, forward and back (Glorot; He for rectified units;
            # a logistic unit passes a quarter of the slope). What comes in passed no unit.
            gains = {"logistic": 4.0, "tanh": 1.0, "relu": float(np.sqrt(2.0)), "elu": 1.2}
            half: list[Layer] = []
            for number, (n_in, n_out) in enumerate(pairwise(sizes)):
                gain = gains[self.activation_] if number else 1.0
                scale = gain * np.sqrt(2 / (n_in + n_out))
                half.append(((scale * rng.standard_normal((n_out, n_in))).astype(X.dtype), np.zeros(n_out, X.dtype)))
            # Unrolled: the way back begins as the transpose, and is then free.
            self._set(half + [(weights.T.copy(), np.zeros(weights.shape[1], X.dtype)) for weights, _ in half[::-1]])
        else:
            rows = np.sort(rng.permutation(len(X))[:_MOST_PRETRAINED])
            inputs, _ = self._inputs(np.asarray(X[rows]))
            given = (inputs, tuple(self.layers), self._seed, progress or Progress())
            if self.pretraining == "psd":
                self._set(pretrain_by_psd(*given))
            else:
                binary_data, linear_code = self.visible_ == "binary", self.code == "linear"
                self._set(pretrain_by_rbm(*given, binary_data=binary_data, linear_code=linear_code))

    def _set(self, layers: Sequence[Layer]) -> None:
        self.weights_ = [weights for weights, _ in layers]
        self.biases_ = [biases for _, biases in layers]
        parameters = self._parameters()
        self._moments = Adam(parameters, dict.fromkeys(parameters, 1.0))

    def _parameters(self) -> dict[str, NDArray[Any]]:
        named: dict[str, NDArray[Any]] = {}
        for number, (weights, biases) in enumerate(zip(self.weights_, self.biases_, strict=True)):
            named |= {f"weights.{number}": weights, f"biases.{number}": biases}
        return named

    def _learn(self, rows: NDArray[Any], share: float, *, noise: float) -> None:
        """One step of Adam against the loss of a batch."""
        dtype = self.weights_[0].dtype
        rows = rows.astype(dtype, copy=False)
        if not np.isfinite(rows).all():
            raise UsageError("the data have NaN or infinite values; remove or replace them")
        rng = np.random.default_rng([self._seed, self.n_batches_])
        inputs, targets = self._inputs(rows)
        if self.input_noise:
            inputs = inputs * (rng.random(inputs.shape, dtype=np.float32) >= self.input_noise).astype(dtype)
        code_noise = None
        if self.code == "binary" and self.code_noise:
            shape = (len(rows), int(self.layers[-1]))
            code_noise = (noise * self.code_noise * rng.standard_normal(shape)).astype(dtype)
        parameters = self._moments.parameters
        unit: dict[str, Any] = {"activation": self.activation_, "code": self.code}
        given = forward(parameters, inputs, code_noise=code_noise, **unit)
        found = gradients(parameters, given, targets, visible=self.visible_, loss=self.loss, **unit)
        if self.weight_decay:
            for weights in self.weights_:
                weights *= dtype.type(1 - share * self.learning_rate * self.weight_decay)
        self._moments.step(found, share * self.learning_rate)
        self.n_batches_ += 1

    def _has_converged(self) -> bool:
        """From the history alone, so that a resumed fit agrees."""
        kept = self.history_
        return self.patience is not None and len(kept) > self.patience and min(kept[-self.patience :]) > min(kept)

    def _pass(self, values: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """Through layers `start` to `stop − 1`; the last one's linear part alone."""
        for number in range(start, stop):
            values = values @ self.weights_[number].T.astype(values.dtype, copy=False)
            values += self.biases_[number].astype(values.dtype, copy=False)
            if number < stop - 1:
                values = ACTIVATIONS[self.activation_][0](values)
        return values

    def _inputs(self, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """What the network takes, and what it should give back."""
        dtype = rows.dtype.type
        if self.visible_ == "binary":
            return rows, rows
        if self.visible_ == "softmax":
            sums = rows.sum(axis=1, keepdims=True)
            probabilities = rows / np.where(sums > 0, sums, dtype(1))  # a text without a known word
            return probabilities * dtype(1 / self.scale_), probabilities
        scaled = (rows - self.mean_.astype(rows.dtype, copy=False)) * dtype(1 / self.scale_)
        return scaled, scaled

    def _set_scale(self, X: NDArray[Any]) -> None:
        parts = chunks(len(X))
        low, high = (float(limit_of([limit_of(X[rows]) for rows in parts])) for limit_of in (np.min, np.max))
        self.visible_ = self.visible
        if self.visible == "auto":
            self.visible_ = "binary" if low >= 0 and high <= 1 else "gaussian"
        if self.visible_ == "binary" and not (low >= 0 and high <= 1):
            raise UsageError(f'visible="binary" takes data in [0, 1]; these go from {low:g} to {high:g}')
        if self.visible_ == "softmax" and low < 0:
            raise UsageError(f'visible="softmax" takes counts, which are not negative; the least is {low:g}')
        self.mean_, self.scale_ = np.zeros(X.shape[1], X.dtype), 1.0
        if self.visible_ == "gaussian":
            sums = sum(np.asarray(X[rows]).sum(axis=0, dtype=np.float64) for rows in parts)
            self.mean_ = (sums / len(X)).astype(X.dtype)
        if self.visible_ != "binary":
            squares = sum(float(np.square(self._inputs(np.asarray(X[rows]))[0]).sum(dtype=float)) for rows in parts)
            self.scale_ = float(np.sqrt(squares / (len(X) * X.shape[1]))) or 1.0

    def _validated(self, X: NDArray[Any], *, reset: bool, finite: bool = True) -> NDArray[Any]:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"DeepAutoencoder has no {name} {getattr(self, name)!r}; there are {', '.join(map(str, choices))}"
                )
        if not len(self.layers) or min(self.layers) < 1:
            raise UsageError(f"DeepAutoencoder needs layers of at least 1 unit each; got {tuple(self.layers)}")
        for name in ("n_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"DeepAutoencoder needs {name} >= 1; got {getattr(self, name)}")
        validated: NDArray[Any] = validate_data(
            self, X, dtype=[np.float32, np.float64], reset=reset, ensure_all_finite=finite
        )
        return validated

    @property
    def _n_features_out(self) -> int:
        return len(self.biases_[len(self.biases_) // 2 - 1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
