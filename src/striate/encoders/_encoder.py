"""What the encoders share: checks of their parameters, blocks and threads, the state, the way to the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.errors import UsageError
from striate.lazy import needs_torch
from striate.parameters import Boolean, Choice, Integer, Real, Seed, Text, checked
from striate.progress import Progress
from striate.randomness import RandomState
from striate.samples import as_table, float_type, is_sparse, kernel_array
from striate.threads import n_threads, run_ranges, single_threaded_blas

__all__ = ["Encoder", "TrainableEncoder", "as_parameters", "as_prepared", "as_weights", "is_one"]

# Products of numbers: some 5 ms of a core. To keep BLAS to one thread costs about one, and it has threads of its own.
_WORTH_THREADS = 2e8


class Encoder:
    """Base of the encoders; a subclass names its parameters and encodes one block of signals.

    Attributes
    ----------
    kind : str
        What the state's header calls it.
    names : tuple of str
        The parameters, in the order of the constructor.
    positive : tuple of str
        Those that are above 0.
    """

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    positive: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[int] = 256  # signals of a block: its codes stay in the second-level cache

    filters: NDArray[Any]

    @property
    def n_components(self) -> int:
        """Units of a code."""
        return int(self.filters.shape[-2])

    @property
    def n_features(self) -> int:
        """Numbers of a signal."""
        return int(self.filters.shape[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, of parameters and codes."""
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
            Converted to the encoder's dtype; a memory map is read in blocks. NaN gives NaN, in its own code alone.

        Returns
        -------
        ndarray (n_samples, n_components), or (n_components,), of the encoder's dtype

        Raises
        ------
        UsageError
            If the shape does not fit.
        """
        if is_one(signals):
            return self.encode(np.asarray(signals)[np.newaxis])[0]
        array = as_table(signals, n_features=self.n_features)
        codes = np.empty((len(array), self.n_components), self.dtype)

        def run(first: int, last: int) -> None:
            block = kernel_array(array[first:last], self.dtype)
            self._encode_block(block, codes[first:last])

        _in_blocks(run, len(array), self.rows, self.products)
        return codes

    def _encode_block(self, signals: NDArray[Any], codes: NDArray[Any]) -> None:
        """Fill `codes`; both are C-contiguous, and of the encoder's dtype."""
        raise NotImplementedError

    def parameters(self) -> dict[str, NDArray[Any]]:
        """The arrays that the constructor takes, by name; they are the encoder's own and must not be changed."""
        return {name: getattr(self, name) for name in self.names}

    def options(self) -> dict[str, Any]:
        """What else the constructor takes, fit for JSON."""
        return {}

    def with_parameters(self, parameters: Mapping[str, NDArray[Any]]) -> Self:
        """An encoder of this class, with the same options and other parameters."""
        return type(self)(**{name: parameters[name] for name in self.names}, **self.options())

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same encoder."""
        return self.parameters(), {"kind": self.kind, **self.options()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        if header.get("kind") != cls.kind:
            raise UsageError(
                f"the state is of an encoder of the kind {header.get('kind')!r}, not {cls.kind!r}: "
                f"read it with the class that wrote it"
            )
        options = {name: value for name, value in header.items() if name != "kind"}
        return cls(**{name: arrays[name] for name in cls.names}, **options)


class TrainableEncoder(Encoder):
    """An encoder that gradients teach to predict codes."""

    def fit(
        self,
        signals: Any,
        codes: Any = None,
        *,
        loss: Literal["codes", "energy"] = "codes",
        components: ArrayLike | PreparedDictionary | None = None,
        sparsity: float | ArrayLike | None = None,
        batch_size: int = 256,
        n_batches: int = 5000,
        learning_rate: float = 0.03,
        held_out_fraction: float = 0.1,
        keep_zeros: bool = True,
        device: str = "cpu",
        random_state: RandomState = None,
        progress: Progress | None = None,
    ) -> Self:
        """A new encoder of the same form, trained from this one's parameters; this one stays as it is.

        Adam takes steps that fall to zero along a cosine. What is best on held-out samples is kept, the start
        included, so that the result is never worse there.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            Drawn from in batches; a memory map stays on the disk.
        codes : float (n_samples, n_components) or scipy.sparse array, optional
            What to predict, as `striate.coding.infer` finds it; not needed for the energy.
        loss : {"codes", "energy"}, default "codes"
            The mean of ½‖z − encode(y)‖², as in the paper; or that of ½‖y − encode(y)·D‖² + sparsity·‖encode(y)‖₁,
            which needs no optimal codes and gives codes of lower energy.
        components : float (n_components, n_features) or PreparedDictionary, optional
            D, needed for the energy alone.
        sparsity : float or (n_components,), optional
            Needed for the energy alone; above 0.
        batch_size : int, default 256
            Signals a step.
        n_batches : int, default 5000
            Steps; the cosine ends with the last.
        learning_rate : float, default 0.03
            Of the first step, relative to the root mean square of what is learned, so that it means the same for
            signals and dictionaries of every scale; thresholds change by this share. For 128 units and whitened
            patches 2,000 batches with 0.03 reach what 5,000 with 0.01 do, and up to 0.1 is as good.
        held_out_fraction : float, default 0.1
            Share of the samples, at most 1,000, on which the best parameters are chosen, 20 times; of fewer than 50
            samples none can be spared, and all serve for both.
        keep_zeros : bool, default True
            Leave the zeros of LISTA's inhibition as they are, so that one that has been pruned stays sparse.
        device : str, default "cpu"
            As torch names it.
        random_state : int, Generator, RandomState or None
            For the held-out samples and the batches. With an integer, the result on a processor is reproducible.
        progress : Progress, optional
            Told of the steps, and of the held-out loss.

        Returns
        -------
        encoder
            Of the same class, options and dtype; torch is needed for the training alone.

        Raises
        ------
        UsageError
            If torch is not installed, shapes do not fit, arrays hold NaN or infinity, arguments are missing, or
            numbers are out of range.

        References
        ----------
        Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, section 3. Kingma, Ba, "Adam: a
        method for stochastic optimization", ICLR 2015. Loshchilov, Hutter, "SGDR: stochastic gradient descent with
        warm restarts", ICLR 2017, equation 5 without restarts.
        """
        batch_size = checked("batch_size", batch_size, Integer(low=1))
        n_batches = checked("n_batches", n_batches, Integer(low=0))
        learning_rate = checked("learning_rate", learning_rate, Real(above=0))
        held_out_fraction = checked("held_out_fraction", held_out_fraction, Real(low=0, below=1))
        keep_zeros = checked("keep_zeros", keep_zeros, Boolean())
        loss = checked("loss", loss, Choice("codes", "energy"))
        random_state = checked("random_state", random_state, Seed())
        device = checked("device", device, Text())
        with needs_torch(f"training {type(self).__name__} needs torch"):
            from striate.encoders._torch import train_encoder
        return train_encoder(
            self, signals, codes, loss=loss, components=components, sparsity=sparsity, batch_size=batch_size,
            n_batches=n_batches, learning_rate=learning_rate, held_out_fraction=held_out_fraction,
            keep_zeros=keep_zeros, device=device, random_state=random_state, progress=progress,
        )  # fmt: skip


def _in_blocks(function: Callable[[int, int], None], n: int, rows: int, products: int) -> None:
    """Call ``function(first, last)`` for blocks of rows, in threads of our own where that pays."""
    if n_threads() > 1 and n > rows and n * products >= _WORTH_THREADS:
        with single_threaded_blas():
            run_ranges(function, n, size=rows)
        return
    for first in range(0, n, rows):
        function(first, min(first + rows, n))


def as_parameters(**arrays: ArrayLike) -> list[NDArray[Any]]:
    """Arrays of one dtype, C-contiguous and finite: float32 if all are, float64 otherwise; copied only if needed."""
    for name, array in arrays.items():
        if is_sparse(array):
            raise UsageError(f"{name} is a sparse matrix, and a dense array is needed: give {name}.toarray()")
    try:
        found = {name: np.asarray(array) for name, array in arrays.items()}
    except ValueError:
        raise UsageError(f"{', '.join(arrays)} must be arrays of real numbers, with rows of one length") from None
    for name, array in found.items():
        if array.dtype.kind not in "fiub":
            raise UsageError(f"{name} must hold real numbers, not {array.dtype}")
    dtype = max(float_type(array.dtype) for array in found.values())
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise UsageError(f"{name} must not hold NaN or infinity: start from a dictionary that does not")
    return [kernel_array(array, dtype) for array in found.values()]


def is_one(signals: Any) -> bool:
    """Whether this is one signal, (n_features,), rather than a table of them."""
    if is_sparse(signals):
        return False
    try:
        return np.ndim(signals) == 1
    except ValueError:  # rows of different lengths
        return False


def as_prepared(components: ArrayLike | PreparedDictionary) -> PreparedDictionary:
    """A dictionary, checked; one that is prepared already is taken as it is."""
    return components if isinstance(components, PreparedDictionary) else PreparedDictionary(components)


def as_weights(sparsity: float | ArrayLike, n_components: int) -> NDArray[np.float64]:
    """The sparsity of each unit, (n_components,), above 0."""
    try:
        weights = np.asarray(sparsity, np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"sparsity is a number above 0, or one per unit, not {sparsity!r}") from None
    if weights.shape not in ((), (n_components,)):
        raise UsageError(
            f"sparsity is a number or ({n_components},), one per unit; give it no array of shape {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise UsageError("sparsity must be above 0, and finite, everywhere")
    return np.array(np.broadcast_to(weights, (n_components,)))
