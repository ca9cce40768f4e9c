"""Sparse coding: a dictionary in which signals have codes with few active units, learned online.

The file has more than 400 lines because half of them document, store and check the 22 parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from striate.coding.estimator import CodeEstimator, validated
from striate.coding.solving import METHODS, Method
from striate.coding.transform import CODE_RULES, transform
from striate.errors import StriateError, UsageError
from striate.learning._automatic_sparsity import corrected_sparsity, sparsity_for_fraction, wanted_fraction
from striate.learning._dictionary_update import add_products, first_dictionary, replacements, update_dictionary
from striate.learning._objective import HeldOutObjective, comparable, mean_objective
from striate.learning._rows import Rows
from striate.learning._signals import Batch, Signals, binary_exponent, checked_weights, infer_at_scale
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start
from striate.parameters import Anything, Boolean, Choice, Integer, Real, Rule, Seed, check_parameters, parameter
from striate.randomness import RandomState

__all__ = ["HeldOutObjective", "SparseCoding"]

_DEAD = 1e-4  # a unit that fewer signals use is replaced
_USAGE_MEMORY = 0.95  # decay of the running usage over batches, about the last twenty
_SETTLED = 0.5  # fraction of the budget after which an automatic sparsity is fixed


class SparseCoding(OnlineLearner, CodeEstimator):
    """Dictionary learning: minimizes ½‖y − zD‖² + sparsity·‖z‖₁ over codes z and a dictionary D of unit norms.

    It takes the place of scikit-learn's `DictionaryLearning` and `MiniBatchDictionaryLearning`; `fit` and `transform`
    solve the same problem.

    Parameters
    ----------
    n_components : int, default 256
        The number of units.
    sparsity : float or "auto", default "auto"
        Weight of the L1 term, in the scale of the signals; "auto" finds the one that leaves `active_fraction` of the
        units active. scikit-learn's `alpha`. (It is half of the talk's sparsity, since the talk writes the square
        without ½.)
    active_fraction : float, default 0.02
        With "auto", the fraction of a signal's code that is not 0, but at least one unit; 2 % is what the talk gives
        for the brain.
    positive, positive_components : bool, default False
        Codes, or units, must not be negative; scikit-learn's `positive_code` and `positive_dict`.
    l2 : float, default 0
        Weight of ½‖z‖² in the objective: with it, codes are those of the elastic net.
    max_nonzero : int, optional
        The number of active units per signal, in learning and coding, in place of `sparsity`: see `SparseCoder`.
    refit : bool, default False
        Replace the values of active units by those of least squares, in learning and coding.
    split_sign : bool, default False
        `transform` gives the positive parts of all units, then the negative parts.
    batch_size : int, default 512
        Signals per batch. Larger batches use the cores better, smaller ones see the dictionary change more often.
    max_batches, max_epochs : int, default 1000 and 100
        The budget: learning ends after `max_batches`, or when the data have been seen `max_epochs` times.
    forgetting : float, default 3.0
        How fast statistics of old codes fade: those of n signals are multiplied by (n / (n + m))^forgetting when m more
        have been seen. 0 weighs all signals alike, as in the paper's algorithm 1; its text recommends fading, since
        early codes belong to another dictionary. On natural and on synthetic patches, 2 to 5 gave a lower objective
        than 1, and 1 a lower one than 0.
    start : float (n_components, n_features), optional
        The first dictionary; scikit-learn's `dict_init`. Otherwise signals that are drawn from the first batch.
    shuffle : bool, default True
        Learn from the signals of an array in random order; if False, in their given order.
    method : str, default "active_set"
        The solver of `infer`.
    validation_fraction : float, default 0.1
        Fraction of the signals, at most 1,000, held out to decide when to stop; none with fewer than 50 signals.
    tolerance : float, default 1e-4
        Learning stops when the held-out objective has not fallen by this fraction in 300 batches.
    sparse_output : bool, default False
        `transform` returns a `scipy.sparse.csr_array`.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary, rows of unit norm.
    sparsity_ : float
        The sparsity that is used: `sparsity`, or the one found with "auto"; 0 with `max_nonzero`.
    usage_ : ndarray (n_components,)
        Share of recent signals that use each unit.
    n_batches_, n_steps_ : int
        Batches learned from; the second name is scikit-learn's.
    n_iter_ : int
        Epochs begun.
    n_replaced_ : int
        How many times a unit that nothing used was replaced.
    history_ : list of HeldOutObjective
        Evaluations every 50 batches; with `max_nonzero` their objective has no sparsity term.
    objective_ : float
        The last held-out objective; NaN without held-out signals.
    n_features_in_ : int

    Notes
    -----
    `fit` and `partial_fit` take a `sample_weight`, float (n_samples,): how much each signal of an array counts, as if
    it were repeated that many times; those of weight 0 are not learned from. It is not in the signature of
    `fit`, since scikit-learn would then check that weights and repeated signals give equal digits, which is impossible
    for a learner that draws batches.

    References
    ----------
    Olshausen, Field, Nature 381, 1996. Mairal, Bach, Ponce, Sapiro, "Online learning for matrix factorization and
    sparse coding", JMLR 11, 2010, algorithms 1 and 2, section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from striate import SparseCoding
    >>> signals = np.random.default_rng(0).standard_normal((500, 20))
    >>> learner = SparseCoding(n_components=30, active_fraction=0.1, random_state=0).fit(signals)
    >>> learner.transform(signals).shape
    (500, 30)
    """

    _rules: ClassVar[Mapping[str, Rule]] = CODE_RULES | {
        "n_components": Integer(low=1), "sparsity": Real(above=0) | Choice("auto"),
        "active_fraction": Real(above=0, below=1), "positive_components": Boolean(), "batch_size": Integer(low=1),
        "max_batches": Integer(low=1), "max_epochs": Integer(low=1), "forgetting": Real(low=0),
        "start": Anything(),  # checked where the number of features is known
        "shuffle": Boolean(), "method": Choice(*METHODS), "validation_fraction": Real(low=0, below=1),
        "tolerance": Real(low=0), "verbose": VERBOSE, "random_state": Seed(),
    }  # fmt: skip
    _learned = ("components_", "usage_")
    _statistics = ("_code_products", "_signal_products")
    _apart = ("start",)
    _checkpoint_name = "sparse-coding"
    _phase_name = "learning a dictionary"
    _check_every = 50
    _patience = 6

    history_: list[HeldOutObjective]

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: float | Literal["auto"] = "auto",
        active_fraction: float = 0.02,
        positive: bool = False,
        positive_components: bool = False,
        l2: float = 0.0,
        max_nonzero: int | None = None,
        refit: bool = False,
        split_sign: bool = False,
        batch_size: int = 512,
        max_batches: int = 1000,
        max_epochs: int = 100,
        forgetting: float = 3.0,
        start: ArrayLike | None = None,
        shuffle: bool = True,
        method: Method = "active_set",
        validation_fraction: float = 0.1,
        tolerance: float = 1e-4,
        sparse_output: bool = False,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.active_fraction = active_fraction
        self.positive = positive
        self.positive_components = positive_components
        self.l2 = l2
        self.max_nonzero = max_nonzero
        self.refit = refit
        self.split_sign = split_sign
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.forgetting = forgetting
        self.start = start
        self.shuffle = shuffle
        self.method = method
        self.validation_fraction = validation_fraction
        self.tolerance = tolerance
        self.sparse_output = sparse_output
        self.verbose = verbose
        self.random_state = random_state

    def partial_fit(self, X: Any, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Continue learning with one more batch, of any size.

        Statistics accumulate over calls; with `forgetting` 0 they are exactly the paper's sums over all signals,
        however these are divided into calls.

        Parameters
        ----------
        X : float (n_samples, n_features)
        y : ignored
        sample_weight : float (n_samples,), optional
            How much each signal counts, as if it were repeated that many times.
        """
        return self._go_on(X, None, sample_weight=sample_weight)

    def transform(self, X: NDArray[Any]) -> Any:
        """Optimal codes, (n_samples, n_components): float32 for float32 signals, else float64."""
        check_is_fitted(self)
        check_parameters(self, self._rules)
        X = validated(self, X, reset=False, finite=False)
        form = {"split_sign": self.split_sign, "sparse_output": self.sparse_output}
        if not self._exponent:
            return self._codes(X, self.sparsity_, **form)
        codes = self._codes(np.ldexp(X, -self._exponent), self._level, **form)
        return codes * codes.dtype.type(2.0) ** self._exponent

    def infer(self, X: NDArray[Any], **options: Any) -> Any:
        """Optimal codes for `sparsity_`, with the options of `striate.coding.infer`: tolerance, start, info and others.

        `max_nonzero`, `refit` and `split_sign` are for `transform` alone.
        """
        check_is_fitted(self)
        if self.max_nonzero is not None:
            raise UsageError("infer needs a sparsity, but this learner has max_nonzero instead: use transform")
        X = validated(self, X, reset=False, finite=False)
        options = {
            "method": self.method, "positive": self.positive, "l2": self.l2, "sparse_output": self.sparse_output,
        } | options  # fmt: skip
        return infer_at_scale(X, self.components_, self.sparsity_, self._exponent, **options)

    def score(self, X: NDArray[Any], y: object = None) -> float:
        """Minus the mean objective of signals, with optimal codes: larger is better, as in scikit-learn."""
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        return -self._objective(Batch(self._scaled(X)))[0]

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also the statistics that learning goes on from."""
        arrays, header = super().to_state(training=training)
        if self.start is not None:
            arrays["start"] = np.asarray(self.start, self.components_.dtype)
        header |= {
            "sparsity": self.sparsity_,
            "exponent": self._exponent,
            "n_seen": self._n_seen,
            "n_iter": self.n_iter_,
            "n_replaced": self.n_replaced_,
        }
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        start = {"start": np.array(arrays["start"])} if "start" in arrays else {}
        return super().from_state(arrays, {**header, "parameters": start | header["parameters"]})

    @property
    def n_steps_(self) -> int:
        """Batches learned from."""
        return self.n_batches_

    @property
    def objective_(self) -> float:
        """The last held-out objective."""
        return self.history_[-1].objective if self.history_ else float("nan")

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self.history_ = [HeldOutObjective(*found) for found in self.history_]
        if "code_products" not in arrays:
            self._set_no_statistics()
        self.sparsity_ = float(header["sparsity"])
        self._exponent = int(header.get("exponent", 0))
        self._n_seen = float(header["n_seen"])
        self.n_iter_, self.n_replaced_ = int(header["n_iter"]), int(header["n_replaced"])

    def _samples(self, X: Any, *, reset: bool, sample_weight: ArrayLike | None = None) -> Signals:
        # A memory map is read in batches only: these are checked for NaN and infinity when they are read.
        unread = isinstance(X, np.memmap)
        signals = validated(self, X, reset=reset, finite=not unread)
        rows = Rows(signals, unread="SparseCoding: the samples" if unread else None)
        return Signals(rows, checked_weights(sample_weight, len(signals)))

    def _batch(self, samples: Signals, rows: NDArray[np.int64]) -> Batch:
        signals, weights = samples[np.sort(rows)]
        return Batch(self._scaled(signals), weights)

    def _begin(self, start: Start) -> None:
        """Initialize the dictionary, empty statistics and, with "auto", the sparsity."""
        n_components = parameter(self, "n_components")
        rows = start.samples.counted(start.rows)
        if start.schedule is not None:  # a part is enough, and a memory map is not read any further
            rows = rows[: max(4 * n_components, 2 * parameter(self, "batch_size"))]
        if not len(rows):
            raise UsageError("sample_weight is 0 for all signals that are not held out")
        signals = start.samples.rows[np.sort(rows)]
        self._exponent = binary_exponent(signals)
        if self._exponent:
            signals = np.ldexp(signals, -self._exponent)
        self.components_ = first_dictionary(
            signals, n_components, start=self.start, positive=parameter(self, "positive_components"),
            rng=np.random.default_rng([self._seed, 1]),
        )  # fmt: skip
        self._set_no_statistics()
        self._n_seen = 0.0  # sum of the signals' weights, which are 1 by default
        self.n_replaced_, self.n_iter_ = 0, 0
        self.usage_ = np.zeros(n_components)
        if self.max_nonzero is not None:
            self.sparsity_ = 0.0
        elif self.sparsity == "auto":
            found = self.sparsity_for(signals[:256], self.components_)
            self.sparsity_ = float(np.ldexp(found, self._exponent))
        else:
            self.sparsity_ = parameter(self, "sparsity")

    def sparsity_for(self, signals: NDArray[Any], components: NDArray[Any]) -> float:
        """The sparsity at which codes have the fraction `active_fraction`, or at least one unit, active; by bisection.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            A few hundred are enough.
        components : float (n_components, n_features)
        """
        fraction = parameter(self, "active_fraction")
        return sparsity_for_fraction(signals, components, fraction, positive=parameter(self, "positive"))

    @property
    def _level(self) -> float:
        """The sparsity in the learner's scale."""
        return float(np.ldexp(self.sparsity_, -self._exponent))

    def _scaled(self, signals: NDArray[Any]) -> NDArray[Any]:
        """Signals in the dtype of the dictionary, scaled so that their squares neither underflow nor overflow."""
        signals = signals.astype(self.components_.dtype, copy=False)
        return np.ldexp(signals, -self._exponent) if self._exponent else signals

    def _codes(self, signals: NDArray[Any], sparsity: float, **form: bool) -> Any:
        """Codes of a training batch."""
        return transform(
            signals, self.components_, sparsity, method=self.method, positive=self.positive, l2=self.l2,
            max_nonzero=self.max_nonzero, refit=self.refit, **form,
        )  # fmt: skip

    def _set_no_statistics(self) -> None:
        n_components, dtype = len(self.components_), self.components_.dtype
        self._code_products = np.zeros((n_components, n_components), dtype)
        self._signal_products = np.zeros(self.components_.shape, dtype)

    def _learn(self, batch: Batch, course: Course) -> None:
        """One batch: codes, statistics, and a sweep over the units."""
        self.n_iter_ = max(1, self.n_iter_)
        if course.per_epoch is not None:
            self.n_iter_ = 1 + self.n_batches_ // course.per_epoch
        codes = self._codes(batch.signals, self._level)
        uses = batch.uses(codes, self.usage_)
        memory = _USAGE_MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (uses.usage - self.usage_)
        seen = self._n_seen + uses.n_signals
        keep = (self._n_seen / seen) ** parameter(self, "forgetting") if uses.n_signals else 1.0
        add_products(self._code_products, uses.transposed, codes, keep)
        add_products(self._signal_products, uses.transposed, batch.signals, keep)
        self._n_seen = seen
        positive = parameter(self, "positive_components")
        update_dictionary(self.components_, self._code_products, self._signal_products, positive=positive)
        if not np.isfinite(self.components_.sum()):
            raise StriateError(
                f"SparseCoding: the dictionary is not finite after batch {self.n_batches_ + 1}; give signals in "
                "float64, or of fewer orders of magnitude"
            )
        settled = self.n_batches_ + 1 > _SETTLED * (course.n_batches or parameter(self, "max_batches"))
        if self.sparsity == "auto" and self.max_nonzero is None and not settled:
            wanted = wanted_fraction(parameter(self, "active_fraction"), len(self.components_))
            self.sparsity_ = corrected_sparsity(self.sparsity_, uses.active, wanted)

    def _replace_dead_units(self, batch: Batch) -> None:
        """Replace units that are hardly used, by signals with large errors."""
        signals, weights = batch
        unused = np.flatnonzero(self.usage_ < _DEAD)
        if not unused.size:
            return
        reconstructed = self._codes(signals, self._level) @ self.components_
        unused, units = replacements(
            unused, signals, reconstructed, weights=weights, positive=parameter(self, "positive_components")
        )
        self.components_[unused] = units
        self._code_products[unused] = 0
        self._code_products[:, unused] = 0
        self._signal_products[unused] = 0
        self.usage_[unused] = self.usage_.mean()  # not unused again for some batches
        self.n_replaced_ += len(unused)

    def _objective(self, batch: Batch) -> tuple[float, float]:
        """Mean objective of codes, in the original scale of the signals, and their active fraction."""
        found = self._codes(batch.signals, self._level, sparse_output=True)
        sparsity = self._level if self.max_nonzero is None else None
        mean = mean_objective(
            batch, found, self.components_, sparsity, positive=self.positive, l2=parameter(self, "l2")
        )
        active = found.nnz / max(found.shape[0] * found.shape[1], 1)
        with np.errstate(over="ignore"):  # squares of very large signals are infinite
            return float(np.ldexp(mean, 2 * self._exponent)), active

    def _evaluate(self, held_out: Batch) -> HeldOutObjective | None:
        if held_out.weights is not None and not held_out.weights.any():
            return None
        return HeldOutObjective(self.n_batches_, *self._objective(held_out), self.sparsity_)

    def _describe(self, found: HeldOutObjective) -> str:
        return f"held-out objective {found.objective:.4g}, {found.active:.1%} active, sparsity {found.sparsity:.3g}"

    def _held_out_errors(self) -> list[float]:
        return comparable(self.history_)
