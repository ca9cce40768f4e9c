"""What encoders share: options as scikit-learn has them, arrays, blocks and threads, the state, how they learn."""

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
    """An encoder while it learns beside a dictionary, as `striate.learning.PSD` teaches it.

    Attributes
    ----------
    arrays : dict of str to ndarray
        What is learned; an optimizer changes it in place.
    rates : dict of str to float
        Length of a step of each array.
    slows : bool
        Whether steps become shorter when those of the dictionary do.
    """

    arrays: dict[str, NDArray[Any]]
    rates: dict[str, float]
    slows: bool

    def encode(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes; nothing is kept for `gradients`."""

    def predict(self, signals: NDArray[Any]) -> NDArray[Any]:
        """The predicted codes of a batch; what `gradients` needs is kept."""

    def gradients(self, signals: NDArray[Any], codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Derivatives of the mean of ½‖codes − prediction‖² for the last `predict`, by the names of `arrays`."""

    def restart(self, units: NDArray[np.int64], components: NDArray[Any]) -> None:
        """Start these units again from what the dictionary, (n_components, n_features), now holds for them."""

    def encoder(self) -> Encoder:
        """The encoder as it is now."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What learning needs beside the encoder's own arrays to go on to the same bits."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `to_arrays` gave."""


class Encoder(BaseEstimator):
    """Base of the encoders: an object with options, and with arrays once it was started or fitted.

    Options are parameters as scikit-learn has them: `get_params`, `set_params` and `clone` work, also inside
    ``PSD(encoder=...)``. A subclass names its arrays, starts them from a dictionary (`start`), encodes a block of
    signals (`_encode_block`) and says how it learns: by the derivatives that its `gradients` gives, or as
    `striate.encoders._trainable.TorchEncoder` does.

    Attributes
    ----------
    kind : str
        The word for it, in ``PSD(encoder=...)`` and in files.
    names : tuple of str
        Its arrays; `filters` is one of them.
    positive : tuple of str
        The arrays whose entries are above 0.
    mutual : tuple of str
        The arrays with two axes of units: what one unit does to another.
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
        """An encoder with these options, started from a dictionary: ``cls(**options).start(components, sparsity)``."""
        return cls(*args, **options).start(components, sparsity)

    @classmethod
    def from_arrays(cls, *arrays: ArrayLike, **options: Any) -> Self:
        """An encoder with these options and arrays, which are in the order of `names`."""
        return cls(**options).set_arrays(**dict(zip(cls.names, arrays, strict=False)))

    def start(self, components: ArrayLike | PreparedDictionary, sparsity: float | ArrayLike) -> Self:
        """Set the arrays to what a dictionary gives before anything is learned.

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
        """Learn to predict codes; see the classes that do."""
        raise UsageError(
            f"{type(self).__name__} learns beside a dictionary alone: PSD(encoder={type(self).__name__}())"
        )

    def learner(self, rate: float, sparsity: float) -> EncoderLearner:
        """What trains this encoder beside a dictionary, from the arrays that it has.

        Parameters
        ----------
        rate : float
            ``encoder_rate`` of PSD.
        sparsity : float
            For units that start again.
        """
        return _InPlaceLearner(self, rate, sparsity)

    @property
    def n_components(self) -> int:
        """Units of a code."""
        return int(self.filters.shape[-2])

    @property
    def n_features(self) -> int:
        """Numbers of a signal."""
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
        """Products of numbers that the code of a signal takes, roughly."""
        return self.n_components * self.n_features

    def encode(self, signals: ArrayLike) -> NDArray[Any]:
        """The predicted codes.

        Parameters
        ----------
        signals : float (n_samples, n_features), or (n_features,) for one
            Converted to the encoder's dtype; a memory map is read in blocks. NaN in a signal gives NaN in its own code
            only.

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
        """Codes of a batch of the encoder's dtype, and whatever `gradients` wants to know of their computation."""
        codes = np.empty((len(signals), self.n_components), self.dtype)
        self._encode_block(signals, codes)
        return codes, None

    def gradients(self, signals: NDArray[Any], known: Any, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """How the mean of ½‖codes − encode(signals)‖² over a batch changes with the arrays.

        Parameters
        ----------
        signals : ndarray (n_samples, n_features), float
        known
            What `forward` gave beside the predicted codes.
        codes : ndarray (n_samples, n_components), float
            The codes to predict.

        Returns
        -------
        dict of str to ndarray
            By the names of the arrays, with their shapes.
        """
        raise NotImplementedError

    def convolution(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Filters, bias and gain of ``gain · tanh(filters·y + bias)``, which a stage of a hierarchy convolves with.

        Raises
        ------
        UsageError
            For an encoder that computes something else.
        """
        raise UsageError(f'a stage convolves with a tanh encoder, not with {self.kind}: PSD(encoder="tanh")')

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name; they are the encoder's own and must not be changed."""
        self._check_started()
        return {name: getattr(self, name) for name in self.names}

    def set_arrays(self, **arrays: ArrayLike) -> Self:
        """Take these arrays, all of them, in place of the present ones.

        Parameters
        ----------
        **arrays : float
            One per name in `names`. All become float32 if all are, float64 otherwise, and are kept, not copied, where
            they already are; they must not be changed afterwards.

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
        """Set options, as scikit-learn has it; the arrays that belonged to others are dropped."""
        super().set_params(**params)
        if params:
            self._forget()
        return self

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same encoder."""
        return self.arrays(), self.header()

    def header(self) -> dict[str, Any]:
        """The kind and the options, fit for JSON."""
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
        """Refuse arrays whose shapes do not fit each other."""

    def _check_started(self) -> None:
        if "filters" not in vars(self):
            name = type(self).__name__
            raise UsageError(f"{name} has learned nothing yet: start it from a dictionary, {name}().start(D, sparsity)")

    def _forget(self) -> None:
        """Drop the arrays, and what was computed from them."""
        derived = [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]
        for name in (*self.names, *derived):
            self.__dict__.pop(name, None)

    def __sklearn_is_fitted__(self) -> bool:
        return "filters" in vars(self)


class _InPlaceLearner:
    """An encoder that knows its derivatives; its own arrays change."""

    slows = False  # Adam alone sets the length of its steps

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
    """Call ``function(first, last)`` for blocks of rows, in our own threads where that pays."""
    if n_threads() > 1 and n > rows and n * products >= _WORTH_THREADS:
        with single_threaded_blas():
            run_ranges(function, n, size=rows)
        return
    for first in range(0, n, rows):
        function(first, min(first + rows, n))
