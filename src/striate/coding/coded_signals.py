"""Codes of more signals than memory holds: block by block, with a proof of how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.coding.certificate import certify
from striate.coding.prepared_dictionary import PreparedDictionary
from striate.coding.solving import infer
from striate.progress import Progress

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["CodedSignals"]

_BLOCK = 8192  # signals that are coded at a time


class CodedSignals:
    """Codes of signals, computed when `blocks` is iterated over.

    Parameters
    ----------
    signals : (n_signals, n_features)
        An array or a memory map; it is read in blocks.
    dictionary : PreparedDictionary
    sparsity : float
    positive : bool
        Whether codes must not be negative.
    tolerance : float, optional
        See `infer`.
    encode : callable, optional
        Predicts codes (n, n_components) of signals (n, n_features). By default the codes are optimal.

    Attributes
    ----------
    shape : (n_signals, n_components)
    dtype : float32 or float64
    active_fraction : float
        Fraction of the codes that is not 0, of the blocks so far, as are the next two.
    objective : float
        Mean over the signals.
    largest_gap : float
        The largest relative duality gap of a signal.
    """

    def __init__(
        self,
        signals: NDArray[Any],
        dictionary: PreparedDictionary,
        sparsity: float,
        *,
        positive: bool = False,
        tolerance: float | None = None,
        encode: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        self._signals, self._dictionary, self._sparsity = signals, dictionary, sparsity
        self._positive, self._tolerance, self._encode = positive, tolerance, encode
        self.shape = (len(signals), len(dictionary.components))
        self.dtype = np.dtype(np.float32 if signals.dtype in (np.float32, np.float16) else np.float64)
        self._n_active, self._objective = 0, 0.0
        self.largest_gap = 0.0

    @property
    def active_fraction(self) -> float:
        """See the class."""
        return self._n_active / max(self.shape[0] * self.shape[1], 1)

    @property
    def objective(self) -> float:
        """See the class."""
        return self._objective / max(self.shape[0], 1)

    def blocks(self, progress: Progress | None = None) -> Iterator[csr_array]:
        """The codes of all signals in order, sparse, some thousand signals at a time."""
        with (progress or Progress()).phase("codes", total=self.shape[0], unit="signals") as phase:
            for start in range(0, self.shape[0], _BLOCK):
                block = np.asarray(self._signals[start : start + _BLOCK])
                codes = self._codes(block)
                proof = certify(block, codes, self._dictionary.components, self._sparsity, positive=self._positive)
                self._n_active += codes.nnz
                self._objective += float(proof.objective.sum())
                self.largest_gap = max(self.largest_gap, float(proof.relative_gap.max(initial=0)))
                yield codes
                phase.advance(len(block))

    def _codes(self, block: NDArray[Any]) -> csr_array:
        if self._encode is not None:
            from scipy.sparse import csr_array

            return csr_array(self._encode(block).astype(self.dtype, copy=False))
        return infer(
            block,
            self._dictionary,
            self._sparsity,
            positive=self._positive,
            tolerance=self._tolerance,
            sparse_output=True,
        )
