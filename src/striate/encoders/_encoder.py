"""Base class of the encoders: options, arrays, blocks and threads, state and training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._checks import as_arrays, is_one
from striate.errors import UsageError
from striate.parameters import Rule, check_parameters, plain_parameters
from striate.progress import Progress
from striate.randomness import RandomState
from striate.samples import as_table, kernel_array, writable
from striate.threads import n_threads, run_ranges, single_threaded_blas

__all__ = ["Encoder", "EncoderLearner"]

# Products of numbers, about 5 ms on one core. Limiting BLAS to one thread costs about 1 ms, and it has its own threads.
_WORTH_THREADS = 2e8


class EncoderLearner(Protocol):
    """An encoder in training together with a dictionary, by `striate.learning.PSD`.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The arrays that are learned; an optimizer changes them in place.
    rates : dict of str to float
        Step size of each array.
    slows : bool
        Whether steps become shorter when those of the dictionary do.
    """

    arrays: dict[str, NDArray[Any]]
    rates: dict[str, float]
    slows: bool

    def encode(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes; nothing is kept for `gradients`."""

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes of a batch; stores what `gradients` needs."""

    def gradients(self, signals: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − prediction‖² for the last `predict`, by the names of `arrays`."""

    def restart(self, units: NDArray[np.int64], components: NDArray[Any]) -> None:
        """Initialize these units again from their rows of the dictionary (n_components, n_features)."""

    def encoder(self) -> Encoder:
        """The encoder as it is now."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays besides the encoder's that learning needs to continue with the same bits."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays that `to_arrays` returned."""


class Encoder(BaseEstimator):
    """Base class of the encoders: an object with options, and with arrays after `start` or `fit`.

    Options are scikit-learn parameters: `get_params`, `set_params` and `clone` work, also inside
    ``PSD(encoder=...)``. A subclass names its arrays, initializes them from a dictionary (`start`) and encodes a block
    of signals (`_encode_block`). It is trained with its own derivatives (`gradients`), or with torch as a
    `striate.encoders._trainable.TorchEncoder`.

    Attributes
    ----------
    kind : str
        Name of the kind of encoder, in ``PSD(encoder=...)`` and in files.
    names : tuple of str
        Names of its arrays; `filters` is one of them.
    positive : tuple of str
        The arrays whose entries are above 0.
    mutual : tuple of str
        The arrays with two axes of units, which describe the effect of one unit on another.
    prunable : tuple of str
        The arrays whose zeros stay zero while the encoder is trained.
    """

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    positive: ClassVar[tuple[str, ...]] = ()
    mutual: ClassVar[tuple[str, ...]] = ()
    prunable: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[int] = 256  # signals per block, so that its codes stay in the second-level cache
    _rules: ClassVar[Mapping[str, Rule]] = {}

    filters: NDArray[Any]

    @classmethod
    def from_dictionary(
        cls, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike, *args: Any, **options: Any
    ) -> Self:
        """An encoder with these options, initialized by `start`: ``cls(**options).start(components, sparsity)``."""
        return cls(*args, **options).start(components, sparsity)

    @classmethod
    def from_arrays(cls, *arrays: ArrayLike, **options: Any) -> Self:
        """An encoder with these options and arrays, which are in the order of `names`."""
        return cls(**options).set_arrays(**dict(zip(cls.names, arrays, strict=False)))

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """Initialize the arrays from a dictionary.

        Parameters
        ----------
        components : float (n_components, n_features) or PreparedDictionary
        sparsity : float or (n_components,)
            Weight of the L1 term beside ½‖y − zD‖²; above 0.

        Returns
        -------
        Self
            Itself.
        """
        raise NotImplementedError

    def fit(
        self,
        signals: Any,
        codes: Any,
        *,
        n_batches: int = 5000,
        random_state: RandomState = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn to predict codes, in classes that support it."""
        raise UsageError(
            f"{type(self).__name__} is trained beside a dictionary only: PSD(encoder={type(self).__name__}())"
        )

    def learner(self, rate: float, sparsity: float) -> EncoderLearner:
        """The object that trains this encoder together with a dictionary, starting from its present arrays.

        Parameters
        ----------
        rate : float
            ``encoder_rate`` of PSD.
        sparsity : float
            Weight of the L1 term, for units that are initialized again.
        """
        return _InPlaceLearner(self, rate, sparsity)

    @property
    def n_components(self) -> int:
        """Number of units of a code."""
        return int(self.filters.shape[-2])

    @property
    def n_features(self) -> int:
        """Number of features of a signal."""
        return int(self.filters.shape[-1])

    @property
    def unit_axis(self) -> int:
        """The axis of units in every array: 0, or 1 where an axis of steps comes before it."""
        return self.filters.ndim - 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, of arrays and codes."""
        return self.filters.dtype

    @property
    def products(self) -> int:
        """Approximate number of multiplications per signal."""
        return self.n_components * self.n_features

    def encode(self, signals: ArrayLike) -> NDArray[Any]:
        """The predicted codes.

        Parameters
        ----------
        signals : float (n_samples, n_features), or (n_features,) for one signal
            Converted to the encoder's dtype; a memory map is read in blocks. NaN in a signal affects only its
            own code.

        Returns
        -------
        ndarray (n_samples, n_components), or (n_components,), of the encoder's dtype

        Raises
        ------
        UsageError
            If the shape does not fit.
        """
        self._check_started()
        if is_one(signals):
            return self.encode(np.asarray(signals)[np.newaxis])[0]
        return self._encode_table(as_table(signals, n_features=self.n_features))

    def _encode_table(self, table: NDArray[Any]) -> NDArray[Any]:
        codes = np.empty((len(table), self.n_components), self.dtype)

        def run(first: int, last: int) -> None:
            block = kernel_array(table[first:last], self.dtype)
            self._encode_block(block, codes[first:last])

        _in_blocks(run, len(table), self.rows, self.products)
        return codes

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        """Fill `codes`; both are C-contiguous, and of the encoder's dtype."""
        raise NotImplementedError

    def forward(self, signals: NDArray[Any]) -> tuple[NDArray[Any], Any]:
        """Codes of a batch of the encoder's dtype, and intermediate results for `gradients`."""
        codes = np.empty((len(signals), self.n_components), self.dtype)
        self._encode_block(signals, codes)
        return codes, None

    def gradients(self, signals: NDArray[Any], known: Any, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − encode(signals)‖² over a batch with respect to the arrays.

        Parameters
        ----------
        signals : ndarray (n_samples, n_features), float
        known
            The second result of `forward`.
        codes : ndarray (n_samples, n_components), float
            The codes to predict.

        Returns
        -------
        dict of str to ndarray
            Derivatives by the names of the arrays, with their shapes.
        """
        raise NotImplementedError

    def convolution(self) -> dict[str, NDArray[Any]]:
        """The arrays of ``gain · f(filters·y + bias)``, which a stage of a hierarchy convolves with, not copied.

        Returns
        -------
        dict of str to ndarray
            `filters`, `bias` and `gain`; of shrinkage also `threshold`, and of smooth shrinkage `threshold` and `beta`.

        Raises
        ------
        UsageError
            If the encoder is not of this form.
        """
        raise UsageError(
            f'a stage convolves with an encoder of kind "tanh", "shrinkage" or "smooth shrinkage", not "{self.kind}"'
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, not copied; they must not be changed."""
        self._check_started()
        return {name: getattr(self, name) for name in self.names}

    def set_arrays(self, **arrays: ArrayLike) -> Self:
        """Replace all arrays.

        Parameters
        ----------
        **arrays : float
            One array for each of `names`: float32 if all are, otherwise converted to float64. Arrays that need no
            conversion are not copied, and must not be changed afterwards.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        UsageError
            If names are missing, shapes do not fit each other or the options, or an array holds NaN or infinity.
        """
        check_parameters(self, self._rules)
        if set(arrays) != set(self.names):
            raise UsageError(f"{type(self).__name__} has the arrays {', '.join(self.names)}; give each of them once")
        found = as_arrays({name: arrays[name] for name in self.names})
        self._check_arrays(found)
        if not all((found[name] > 0).all() for name in self.positive):
            raise UsageError(f"{' and '.join(self.positive)} must be above 0: start from those of from_dictionary")
        self._forget()
        for name, array in found.items():
            setattr(self, name, array)
        return self

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """A new encoder of this class, with the same options and other arrays."""
        other: Self = clone(self).set_arrays(**{name: arrays[name] for name in self.names})
        return other

    def astype(self, dtype: np.dtype[Any]) -> Self:
        """The encoder with arrays of a dtype: itself if it has it, a new one otherwise."""
        if dtype == self.dtype:
            return self
        return self.with_arrays({name: array.astype(dtype) for name, array in self.arrays().items()})

    def set_params(self, **params: Any) -> Self:
        """Set options, as in scikit-learn; arrays are dropped if the options change."""
        super().set_params(**params)
        if params:
            self._forget()
        return self

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same encoder."""
        return self.arrays(), self.header()

    def header(self) -> dict[str, Any]:
        """The kind and the options, as values that JSON can store."""
        return {"kind": self.kind, **plain_parameters(self)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        if header.get("kind") != cls.kind:
            raise UsageError(
                f"the state is of an encoder of the kind {header.get('kind')!r}, not {cls.kind!r}: "
                f"read it with the class that wrote it"
            )
        options = {name: value for name, value in header.items() if name != "kind"}
        return cls.from_arrays(*(arrays[name] for name in cls.names), **options)

    def _check_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Raise an error for arrays whose shapes do not fit each other."""

    def _check_started(self) -> None:
        if "filters" not in vars(self):
            name = type(self).__name__
            raise UsageError(f"{name} has no arrays yet: start it from a dictionary, {name}().start(D, sparsity)")

    def _forget(self) -> None:
        """Drop the arrays, and values computed from them."""
        derived = [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]
        for name in (*self.names, *derived):
            self.__dict__.pop(name, None)

    def __sklearn_is_fitted__(self) -> bool:
        return "filters" in vars(self)


class _InPlaceLearner:
    """Trains an encoder with its own derivatives; its arrays are changed in place."""

    slows = False  # steps stay as long when those of the dictionary become shorter

    def __init__(self, encoder: Encoder, rate: float, sparsity: float) -> None:
        # A model may have been loaded as a memory map.
        self._encoder = encoder.set_arrays(**{name: writable(array) for name, array in encoder.arrays().items()})
        self._sparsity = sparsity
        self.arrays = encoder.arrays()
        self.rates = dict.fromkeys(self.arrays, rate)

    def encode(self, signals: NDArray[Any]) -> NDArray[Any]:
        return self._encoder.forward(signals)[0]

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        codes, self._known = self._encoder.forward(signals)
        return codes

    def gradients(self, signals: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return self._encoder.gradients(signals, self._known, codes)

    def restart(self, units: NDArray[np.int64], components: NDArray[Any]) -> None:
        for name, fresh in clone(self._encoder).start(components, self._sparsity).arrays().items():
            self.arrays[name][units] = fresh[units]

    def encoder(self) -> Encoder:
        return self._encoder

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        pass


def _in_blocks(function: Callable[[int, int], None], n: int, rows: int, products: int) -> None:
    """Call ``function(first, last)`` for blocks of rows, with several threads if that is faster."""
    if n_threads() > 1 and n > rows and n * products >= _WORTH_THREADS:
        with single_threaded_blas():
            run_ranges(function, n, size=rows)
        return
    for first in range(0, n, rows):
        function(first, min(first + rows, n))
