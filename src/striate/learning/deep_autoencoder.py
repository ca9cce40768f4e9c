"""Deep autoencoders: an encoder and a decoder of several layers, with a short code between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.coding.estimator import as_codes
from striate.errors import UsageError
from striate.learning._kinds_of_data import kind_of_data, word_probabilities
from striate.learning._pretraining import Layer, pretrain_by_psd, pretrain_by_rbm, random_layers
from striate.learning._rows import Rows, chunks
from striate.learning._scale import at_scale, deviation_of
from striate.learning._unrolled import ACTIVATIONS, forward, gradients
from striate.learning.adam import Adam
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start, stalled
from striate.parameters import Choice, Integer, IntegerTuple, Real, Rule, Seed, check_parameters, parameter
from striate.randomness import RandomState
from striate.samples import all_finite, dense_rows, estimator_samples, writable

__all__ = ["DeepAutoencoder"]

_MOST_PRETRAINED, _WARM_UP = 20_000, 100  # samples for pre-training; batches until Adam's moments are reliable
_OF_PRETRAINING = {None: "elu", "rbm": "logistic", "psd": "tanh"}


class DeepAutoencoder(OnlineLearner, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An encoder and a decoder of several layers, which learn to reconstruct the data from a short code.

    Parameters
    ----------
    layers : sequence of int, default (1000, 500, 250, 30)
        Units per layer of the encoder; the last layer is the code. The decoder has the same layers in reverse
        order. The default is that of the paper for digits.
    pretraining : "rbm", "psd" or None, default None
        How layers are initialized. "rbm": each is an RBM trained on the layer below, and its transpose initializes the
        decoder, as in the paper. "psd": each is trained by PSD, whose dictionary initializes the decoder. None: at
        random, at scales that keep the variance from layer to layer.
    code : {"linear", "logistic", "binary"}, default "linear"
        Units of the last layer. Binary units are trained as logistic units with noise at their input, which drives them
        towards 0 and 1, and are then thresholded at ½.
    visible : {"auto", "binary", "gaussian", "softmax"}, default "auto"
        The kind of data: numbers in [0, 1], real numbers, or counts of words, which are divided by their sum. "auto" is
        "binary" if all data of the first call lie in [0, 1], and "gaussian" otherwise.
    loss : {"cross-entropy", "squared"}, default "cross-entropy"
        The loss for binary data; real data use the squared error, and words the multinomial cross-entropy. The paper
        minimizes the cross-entropy and reports squared errors.
    activation : {"auto", "logistic", "tanh", "relu", "elu"}, default "auto"
        The activation of hidden layers; "auto" is "elu" without pre-training, "logistic" with "rbm" and "tanh" with
        "psd". The paper's is "logistic". On digits, "elu" learns faster than "relu" (squared error 6.5 against 7.1
        after five epochs of 20,000).
    n_epochs : int, default 40
    batch_size : int, default 250
    learning_rate : float, default 1e-3
        The step of Adam; in `fit` it falls to 0 along half a cosine.
    weight_decay : float, default 0.0
        Fraction by which each weight shrinks per step, relative to the rate (decoupled, as in AdamW).
    input_noise : float, default 0.0
        Fraction of the inputs that is set to 0 in training, against overfitting, as in a denoising autoencoder.
    code_noise : float, default 4.0
        Standard deviation of the noise at the input of binary code units; it rises from 0 during a fit.
    validation_fraction : float, default 0.0
        Fraction of the samples, at most 1,000, that is held out and evaluated after each epoch.
    patience : int, optional
        Learning stops when the held-out error has not fallen for this number of epochs.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    weights_ : list of ndarray (n_out, n_in)
        The weights of all layers in the order of the pass; the first half encodes.
    biases_ : list of ndarray (n_out,)
    visible_ : str
        The kind of data: `visible`, or the one that "auto" has chosen.
    history_ : list of float
        The held-out error after each epoch; the error is the negative of `score`.
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

    _rules: ClassVar[Mapping[str, Rule]] = {
        "layers": IntegerTuple(low=1),
        "pretraining": Choice("rbm", "psd") | None,
        "code": Choice("linear", "logistic", "binary"),
        "visible": Choice("auto", "binary", "gaussian", "softmax"),
        "loss": Choice("cross-entropy", "squared"),
        "activation": Choice("auto", *ACTIVATIONS),
        "n_epochs": Integer(low=1),
        "batch_size": Integer(low=1),
        "learning_rate": Real(low=0),
        "weight_decay": Real(low=0),
        "input_noise": Real(low=0, below=1),
        "code_noise": Real(low=0),
        "validation_fraction": Real(low=0, below=1),
        "patience": Integer(low=1) | None,
        "verbose": VERBOSE,
        "random_state": Seed(),
    }

    _learned = ("mean_",)
    _apart = ("layers",)
    _checkpoint_name = "autoencoder"
    _phase_name = "learning an autoencoder"

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
        verbose: bool | int = 0,
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
        self.verbose = verbose
        self.random_state = random_state

    def transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """The codes, (n_samples, n_components), dtype of `X`; binary ones are 0.0 or 1.0."""
        check_is_fitted(self)
        samples = self._samples(X, reset=False)
        codes = np.empty((len(samples), self._n_features_out), samples.dtype)
        for rows in chunks(len(samples)):
            codes[rows] = self._codes(samples[rows])
        return codes

    def _codes(self, rows: NDArray[Any]) -> NDArray[Any]:
        inputs, _ = self._inputs(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._pass(inputs, 0, len(self.weights_) // 2)
        if not all_finite(values):
            raise UsageError(
                f"DeepAutoencoder: samples up to {float(np.abs(rows).max()):.3g} are too large for codes: bring "
                "them to the scale of those that it has learned from"
            )
        if parameter(self, "code") == "linear":
            return values
        codes: NDArray[Any] = (values > 0).astype(rows.dtype) if self.code == "binary" else expit(values)
        return codes

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """The data that codes represent, (n_samples, n_features), in the original scale; for words, probabilities."""
        check_is_fitted(self)
        codes = as_codes(X, self._n_features_out)
        outputs = np.empty((codes.shape[0], self.n_features_in_), codes.dtype)
        for rows in chunks(codes.shape[0]):
            values = self._pass(dense_rows(codes, rows), len(self.weights_) // 2, len(self.weights_))
            if self.visible_ == "binary":
                values = expit(values)
            elif self.visible_ == "softmax":
                values = np.exp(log_softmax(values, axis=1))
            else:
                values = values * self.scale_ + self.mean_
            outputs[rows] = values
        return outputs

    def score(self, X: NDArray[Any], y: object = None) -> float:
        """Minus the mean squared error per sample; for words, minus the mean cross-entropy in nats."""
        check_is_fitted(self)
        return -self._mean_error(self._samples(X, reset=False))

    def _mean_error(self, X: Any) -> float:
        errors = 0.0
        for rows in chunks(len(X)):
            samples = X[rows]
            outputs = self.inverse_transform(self._codes(samples)).astype(np.float64)
            if self.visible_ == "softmax":
                errors -= float((self._inputs(samples)[1] * np.log(np.maximum(outputs, 1e-30))).sum())
            else:
                with np.errstate(over="ignore"):
                    errors += float(np.square(outputs - samples).sum())
        return errors / len(X)

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also Adam's moments, which triple the size."""
        arrays, header = super().to_state()
        arrays |= self._parameters()
        if training:
            arrays |= self._learning.to_arrays()
        header["parameters"]["layers"] = list(parameter(self, "layers"))
        header |= {
            "scale": self.scale_,
            "visible": self.visible_,
            "activation": self.activation_,
            "n_steps": self._learning.n_steps if training else 0,
        }
        return arrays, header

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        numbers = range(2 * len(parameter(self, "layers")))
        self._set([(np.array(arrays[f"weights.{n}"]), np.array(arrays[f"biases.{n}"])) for n in numbers])
        self.scale_, self.visible_, self.activation_ = (header[name] for name in ("scale", "visible", "activation"))
        if "first.weights.0" in arrays:
            self._learning.restore(arrays, int(header["n_steps"]))

    def _begin(self, start: Start) -> None:
        samples, rng = start.samples, start.rng
        layers, pretraining = parameter(self, "layers"), parameter(self, "pretraining")
        self._set_scale(samples)
        activation = parameter(self, "activation")
        self.activation_ = _OF_PRETRAINING[pretraining] if activation == "auto" else activation
        if pretraining is None:
            self._set(random_layers((samples.shape[1], *layers), self.activation_, samples.dtype, rng))
            return
        rows = np.sort(rng.permutation(len(samples))[:_MOST_PRETRAINED])
        inputs, _ = self._inputs(samples[rows])
        given = (inputs, layers, self._seed, start.progress)
        if pretraining == "psd":
            self._set(pretrain_by_psd(*given))
        else:
            kinds = {"binary_data": self.visible_ == "binary", "linear_code": parameter(self, "code") == "linear"}
            self._set(pretrain_by_rbm(*given, **kinds))

    def _set(self, layers: Sequence[Layer]) -> None:
        self.weights_ = [weights for weights, _ in layers]
        self.biases_ = [biases for _, biases in layers]
        parameters = self._parameters()
        self._learning = Adam(parameters, dict.fromkeys(parameters, 1.0))

    def _parameters(self) -> dict[str, NDArray[Any]]:
        named: dict[str, NDArray[Any]] = {}
        for number, (weights, biases) in enumerate(zip(self.weights_, self.biases_, strict=True)):
            named |= {f"weights.{number}": weights, f"biases.{number}": biases}
        return named

    def _learn(self, batch: NDArray[Any], course: Course) -> None:
        """One step of Adam against the loss of a batch."""
        share = noise = 1.0
        if course.n_batches is not None and course.per_epoch is not None:
            noise = self.n_batches_ / course.n_batches
            warm = min(1.0, (self.n_batches_ + 1) / min(_WARM_UP, course.per_epoch))
            share = warm * 0.5 * (1 + np.cos(np.pi * noise))
        dtype = self.weights_[0].dtype
        rows = batch.astype(dtype, copy=False)
        names = ("code", "learning_rate", "weight_decay", "input_noise", "code_noise")
        code, learning_rate, weight_decay, input_noise, code_deviation = (parameter(self, name) for name in names)
        rng = np.random.default_rng([self._seed, self.n_batches_])
        inputs, targets = self._inputs(rows)
        if input_noise:
            inputs = inputs * (rng.random(inputs.shape, dtype=np.float32) >= input_noise).astype(dtype)
        code_noise = None
        if code == "binary" and code_deviation:
            shape = (len(rows), self._n_features_out)
            code_noise = (noise * code_deviation * rng.standard_normal(shape)).astype(dtype)
        unit: dict[str, Any] = {"activation": self.activation_, "code": code}
        with np.errstate(over="ignore", invalid="ignore"):  # reported in one sentence below
            given = forward(self._learning.parameters, inputs, code_noise=code_noise, **unit)
            loss = {"visible": self.visible_, "loss": parameter(self, "loss")}
            found = gradients(self._learning.parameters, given, targets, **loss, **unit)
            if weight_decay:
                for weights in self.weights_:
                    weights *= dtype.type(1 - share * learning_rate * weight_decay)
            self._learning.step(found, share * learning_rate)
            self._check_learned(given[-1])

    def _check_learned(self, *arrays: NDArray[Any]) -> None:
        """Raise an error if weights have grown without bound."""
        if not all(all_finite(array) for array in arrays or self._parameters().values()):
            decay = parameter(self, "weight_decay")
            raise UsageError(
                f"DeepAutoencoder: learning has diverged after {self.n_batches_} batches, and the weights are no "
                f"longer finite: lower learning_rate (now {parameter(self, 'learning_rate'):g})"
                + (f" or weight_decay (now {decay:g})" if decay else "")
            )

    def _conclude(self) -> None:
        self._check_learned()

    def _evaluate(self, held_out: NDArray[Any]) -> float:
        return self._mean_error(held_out)

    def _has_converged(self) -> bool:
        patience = parameter(self, "patience")
        return patience is not None and stalled(self.history_, patience, 0.0)

    def _context(self) -> AbstractContextManager[None]:
        return nullcontext()  # products of wide layers are faster with BLAS threads

    def _pass(self, values: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """The output of layers `start` to `stop − 1`, without the activation of the last one."""
        for number in range(start, stop):
            values = values @ self.weights_[number].T.astype(values.dtype, copy=False)
            values += self.biases_[number].astype(values.dtype, copy=False)
            if number < stop - 1:
                values = ACTIVATIONS[self.activation_][0](values)
        return values

    def _inputs(self, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The inputs of the network, and the targets of its outputs."""
        if self.visible_ == "binary":
            return rows, rows
        if self.visible_ == "softmax":
            probabilities = word_probabilities(rows)
            return probabilities * rows.dtype.type(1 / self.scale_), probabilities
        scaled = at_scale(rows, self.scale_, self._centered)
        return scaled, scaled

    def _centered(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows - self.mean_.astype(rows.dtype, copy=False)

    def _set_scale(self, X: Rows) -> None:
        def parts() -> Iterator[NDArray[Any]]:
            return (X[rows] for rows in chunks(len(X)))

        low, high = (float(limit_of([limit_of(part) for part in parts()])) for limit_of in (np.min, np.max))
        self.visible_ = kind_of_data(parameter(self, "visible"), low, high)
        self.mean_, self.scale_ = np.zeros(X.shape[1], X.dtype), 1.0
        if self.visible_ == "gaussian":
            sums = sum(part.sum(axis=0, dtype=np.float64) for part in parts())
            self.mean_ = (sums / len(X)).astype(X.dtype)
            self.scale_ = deviation_of(parts, self._centered)
        elif self.visible_ == "softmax":
            self.scale_ = deviation_of(lambda: (self._inputs(part)[0] for part in parts()), None)

    def _samples(self, X: Any, *, reset: bool) -> Rows:
        check_parameters(self, self._rules)
        samples = estimator_samples(self, X, reset=reset, finite=False, sparse=True)
        return Rows(samples, unread="DeepAutoencoder: the samples")

    def _own_arrays(self) -> None:
        """Make arrays that learning changes in place writable: a model may have been loaded as a memory map."""
        learned = self._learning.parameters
        if all(learned[name] is array and array is writable(array) for name, array in self._parameters().items()):
            return
        moments, n_steps = self._learning.to_arrays(), self._learning.n_steps
        weights, biases = map(writable, self.weights_), map(writable, self.biases_)
        self._set(list(zip(weights, biases, strict=True)))
        self._learning.restore(moments, n_steps)

    @property
    def _n_features_out(self) -> int:
        return len(self.biases_[len(self.biases_) // 2 - 1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.visible == "softmax"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
