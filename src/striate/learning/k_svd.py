"""K-SVD: a dictionary in which signals have codes with a given number of active units; its units may be incoherent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from striate.checkpoint import Checkpoint
from striate.coding import infer_until
from striate.coding.estimator import CodeEstimator, validated
from striate.coding.transform import transform
from striate.learning._dictionary_update import first_dictionary, replacements
from striate.learning._k_svd_sweep import Fit, fit_of, sweep
from striate.learning._signals import binary_exponent
from striate.learning.online import VERBOSE
from striate.parameters import (
    Anything,
    Boolean,
    Integer,
    Real,
    Rule,
    Seed,
    check_parameters,
    parameter,
    plain_parameters,
)
from striate.progress import Progress, RichProgress
from striate.randomness import RandomState, generator_from
from striate.stored import array, with_parameters
from striate.threads import single_threaded_blas

__all__ = ["KSVD"]


class KSVD(CodeEstimator):
    """Dictionary learning with a number of active units: alternates pursuits of all signals and updates of all units.

    It minimizes ‖Y − ZD‖² / ‖Y‖² + incoherence · mean ``|d_i·d_j|`` over codes Z with at most `max_nonzero` active
    units per signal, and a dictionary D of unit norms; the mean is over all pairs of units. `SparseCoding` learns from
    batches and with an L1 term; this learner needs all signals in memory.

    Parameters
    ----------
    n_components : int, default 256
        The number of units.
    max_nonzero : int, default 5
        The most active units of a signal, in learning and coding.
    incoherence : float, default 0
        Weight of the mean absolute product of two units. With 1, a relative error that is larger by 0.01 is as good as
        a mean product that is smaller by 0.01. A small weight may lower the error too, since fewer units become
        similar: 0.03 did for five of six sets of synthetic signals.
    n_epochs : int, default 30
        The most passes over all signals, each of a pursuit and a sweep over the units.
    tolerance : float, default 1e-4
        Learning stops when a pass has lowered the objective by less than this fraction.
    start : float (n_components, n_features), optional
        The first dictionary; otherwise signals that are drawn at random.
    split_sign : bool, default False
        `transform` gives the positive parts of all units, then the negative parts.
    sparse_output : bool, default False
        `transform` returns a `scipy.sparse.csr_array`.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first dictionary.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary, rows of unit norm.
    usage_ : ndarray (n_components,)
        Share of the signals that use each unit.
    history_ : list of Fit
        The relative error, and the mean absolute product of two units, after each pass.
    n_iter_ : int
        Passes over the signals.
    n_replaced_ : int
        How many times a unit that nothing used was replaced.
    n_features_in_ : int

    Notes
    -----
    Codes are found by orthogonal matching pursuit (`infer_until`). A signal keeps its code of the pass before where
    that has the smaller error, so that the objective never rises, except where the signal with the largest error
    replaces a unit that nothing uses. A unit and its values are updated by one step of the power method, or, with an
    incoherence, of gradient descent on the sphere.

    References
    ----------
    Aharon, Elad, Bruckstein, "K-SVD: an algorithm for designing overcomplete dictionaries for sparse representation",
    IEEE Transactions on Signal Processing 2006. Rubinstein, Zibulevsky, Elad, "Efficient implementation of the K-SVD
    algorithm using batch orthogonal matching pursuit", Technion 2008. Bo, Ren, Fox, "Multipath sparse coding using
    hierarchical matching pursuit", CVPR 2013, whose penalty is a sum over pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from striate import KSVD
    >>> signals = np.random.default_rng(0).standard_normal((500, 20))
    >>> learner = KSVD(n_components=30, max_nonzero=3, n_epochs=5, random_state=0).fit(signals)
    >>> int((learner.transform(signals) != 0).sum(axis=1).max())
    3
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1), "max_nonzero": Integer(low=1), "incoherence": Real(low=0),
        "n_epochs": Integer(low=1), "tolerance": Real(low=0),
        "start": Anything(),  # checked where the number of features is known
        "split_sign": Boolean(), "sparse_output": Boolean(), "verbose": VERBOSE, "random_state": Seed(),
    }  # fmt: skip

    history_: list[Fit]

    def __init__(
        self,
        n_components: int = 256,
        *,
        max_nonzero: int = 5,
        incoherence: float = 0.0,
        n_epochs: int = 30,
        tolerance: float = 1e-4,
        start: ArrayLike | None = None,
        split_sign: bool = False,
        sparse_output: bool = False,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.max_nonzero = max_nonzero
        self.incoherence = incoherence
        self.n_epochs = n_epochs
        self.tolerance = tolerance
        self.start = start
        self.split_sign = split_sign
        self.sparse_output = sparse_output
        self.verbose = verbose
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str = "k-svd",
        progress: Progress | None = None,
        phase_name: str = "learning a dictionary",
    ) -> Self:
        """Learn a dictionary from signals.

        Parameters
        ----------
        X : float (n_samples, n_features)
        y : ignored
        checkpoint : Checkpoint, optional
            Where the state is saved from time to time. A fit that was killed continues from it with the same bits.
        checkpoint_name : str
            Name of this fit, if the checkpoint holds several.
        progress : Progress, optional
            Receives the progress; by default it is shown in the terminal if `verbose` is set.
        phase_name : str
            Name of this fit in the progress.

        Raises
        ------
        UsageError
            For parameters or data that cannot be used.
        """
        check_parameters(self, self._rules)
        if progress is None:
            progress = RichProgress() if self.verbose else Progress()
        signals = _at_scale(validated(self, X, reset=True))
        saved = None if checkpoint is None else checkpoint.load(checkpoint_name)
        codes = None
        if saved is None:
            self._begin(signals)
        else:
            self._restore(*saved)
            codes = sparse.csr_array(
                tuple(saved[0][f"codes_{name}"] for name in ("data", "indices", "indptr")),
                (len(signals), len(self.components_)),
            )
        n_epochs = parameter(self, "n_epochs")
        with progress.phase(phase_name, total=n_epochs, unit="epochs") as phase:
            phase.advance(self.n_iter_)
            ended = saved is not None and saved[1]["ended"]
            while self.n_iter_ < n_epochs and not ended:
                codes, n_unused = self._pass(signals, codes, replaces=self.n_iter_ + 1 < n_epochs)
                ended = self.n_iter_ == n_epochs or (not n_unused and self._has_converged())
                phase.note(f"error {self.history_[-1].error:.4g}, mean product {self.history_[-1].coherence:.3g}")
                phase.advance()
                if checkpoint is not None and (ended or checkpoint.due()):
                    arrays, header = self.to_state()
                    arrays |= {f"codes_{name}": getattr(codes, name) for name in ("data", "indices", "indptr")}
                    checkpoint.save(checkpoint_name, arrays, header | {"ended": ended})
        return self

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Continue learning with one pass over more signals.

        Parameters
        ----------
        X : float (n_samples, n_features)
            The first call draws the dictionary from them.
        y : ignored
        """
        check_parameters(self, self._rules)
        started = hasattr(self, "history_")
        signals = _at_scale(validated(self, X, reset=not started))
        if started:
            self.components_ = np.array(self.components_)  # a memory map is not written to
        else:
            self._begin(signals)
        self._pass(signals.astype(self.components_.dtype, copy=False), None, replaces=True)
        return self

    def transform(self, X: Any) -> Any:
        """Codes by orthogonal matching pursuit, (n_samples, n_components), float32 for float32 signals, or float64."""
        check_is_fitted(self)
        check_parameters(self, self._rules)
        return transform(
            validated(self, X, reset=False), self.components_, 1.0, method="omp",
            max_nonzero=parameter(self, "max_nonzero"), split_sign=self.split_sign, sparse_output=self.sparse_output,
        )  # fmt: skip

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header."""
        check_is_fitted(self)
        arrays = {"components": self.components_, "usage": self.usage_}
        if self.start is not None:
            arrays["start"] = np.asarray(self.start, self.components_.dtype)
        return arrays, {
            "parameters": plain_parameters(self, apart=("start",)),
            "history": [list(found) for found in self.history_],
            "n_iter": self.n_iter_,
            "n_replaced": self.n_replaced_,
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        start = {"start": np.array(arrays["start"])} if "start" in arrays else {}
        learner: Self = with_parameters(cls, {**header, "parameters": start | header["parameters"]})
        learner._restore(arrays, header)
        return learner

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        self.components_ = np.array(array(arrays, "components", (None, None)))
        self.usage_ = np.array(array(arrays, "usage", (len(self.components_),)))
        self.n_features_in_ = self.components_.shape[1]
        self.history_ = [Fit(*found) for found in header["history"]]
        self.n_iter_, self.n_replaced_ = int(header["n_iter"]), int(header["n_replaced"])

    def _begin(self, signals: NDArray[Any]) -> None:
        n_components = parameter(self, "n_components")
        rng = generator_from(parameter(self, "random_state"))
        self.components_ = first_dictionary(signals, n_components, start=self.start, positive=False, rng=rng)
        self.usage_ = np.zeros(n_components)
        self.history_, self.n_iter_, self.n_replaced_ = [], 0, 0

    def _pass(self, signals: NDArray[Any], before: Any, *, replaces: bool) -> tuple[Any, int]:
        """A pursuit of signals, whose codes were `before`, and a sweep; the codes, and how many units were replaced."""
        incoherence = parameter(self, "incoherence")
        codes = infer_until(
            signals, self.components_, method="omp", max_nonzero=parameter(self, "max_nonzero"), sparse_output=True
        )
        with single_threaded_blas():
            errors = signals - codes @ self.components_
            if before is not None:
                codes, errors = _better(codes, errors, before, signals - before @ self.components_)
            energy = float(np.einsum("ij,ij->", signals, signals, dtype=np.float64))
            users = sweep(errors, codes, self.components_, energy=energy, incoherence=incoherence)
            self.usage_ = users / len(signals)
            self.history_.append(fit_of(errors, energy, self.components_))
            self.n_iter_ += 1
            unused = np.flatnonzero(users == 0)
            if not (replaces and len(unused)):
                return codes, 0
            unused, units = replacements(unused, signals, signals - errors)
            self.components_[unused] = units
            self.n_replaced_ += len(unused)
        return codes, len(unused)

    def _has_converged(self) -> bool:
        objectives = [found.objective(parameter(self, "incoherence")) for found in self.history_[-2:]]
        return len(objectives) == 2 and objectives[1] >= (1 - parameter(self, "tolerance")) * objectives[0]


def _at_scale(signals: NDArray[Any]) -> NDArray[Any]:
    """Signals at a scale at which their squares neither vanish nor overflow; the dictionary does not depend on it."""
    exponent = binary_exponent(signals)
    return np.ldexp(signals, -exponent) if exponent else signals


def _better(codes: Any, errors: NDArray[Any], others: Any, of_others: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Of two codes of each signal, the one with the smaller error, and these errors."""
    is_worse = np.einsum("ij,ij->i", of_others, of_others) < np.einsum("ij,ij->i", errors, errors)
    if is_worse.any():
        chosen = np.where(is_worse, len(errors), 0) + np.arange(len(errors))
        codes = sparse.vstack([codes, others], format="csr")[chosen]
        errors[is_worse] = of_others[is_worse]
    return codes, errors
