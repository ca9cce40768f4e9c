"""Sparse coding: a dictionary in which signals have codes with few active units, learned online."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from striate.checkpoint import Checkpoint
from striate.coding import PreparedDictionary, certify, find_sparsity, infer
from striate.coding.estimator import CodeEstimator, validated
from striate.coding.solving import METHODS, Method
from striate.coding.transform import CODE_RULES, transform
from striate.errors import StriateError, UsageError
from striate.learning._dictionary_update import update_dictionary
from striate.learning._schedule import Schedule
from striate.parameters import (
    Anything,
    Boolean,
    Choice,
    Integer,
    Real,
    Rule,
    Seed,
    check_parameters,
    plain_parameters,
)
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.threads import in_threads, single_threaded_blas

__all__ = ["HeldOutObjective", "SparseCoding"]

_CHECK_EVERY = 50  # batches between two looks at the held-out signals
_STALLED = 6  # looks without a gain, after which learning ends
_DEAD = 1e-4  # a unit that fewer signals use is replaced
_USAGE_MEMORY = 0.95  # of the running usage, over batches: the last twenty or so
_SETTLED = 0.5  # of the budget, after which an automatic sparsity stays as it is
_PATIENCE = 0.25  # power of the correction to an automatic sparsity, a batch
_TAME = 30  # powers of two from 1 within which signals are learned from as they are

_RULES: dict[str, Rule] = CODE_RULES | {
    "n_components": Integer(low=1),
    "sparsity": Real(above=0) | Choice("auto"),
    "active_fraction": Real(above=0, below=1),
    "positive_components": Boolean(),
    "batch_size": Integer(low=1),
    "max_batches": Integer(low=1),
    "max_epochs": Integer(low=1),
    "forgetting": Real(low=0),
    "start": Anything(),  # checked where the number of features is known
    "shuffle": Boolean(),
    "method": Choice(*METHODS),
    "validation_fraction": Real(low=0, below=1),
    "tolerance": Real(low=0),
    "random_state": Seed(),
}


class _Weights(TypedDict, total=False):
    """What `fit` takes besides: see there."""

    sample_weight: ArrayLike | None


class _Batch(NamedTuple):
    """Signals in the learner's scale, and their weights, if they have any."""

    signals: NDArray[Any]
    weights: NDArray[np.float64] | None = None


class HeldOutObjective(NamedTuple):
    """What a look at held-out signals saw; means over signals."""

    batch: int
    objective: float
    active: float  # fraction of the codes that is not 0
    sparsity: float


class SparseCoding(CodeEstimator):
    """Dictionary learning: minimizes ½‖y − zD‖² + sparsity·‖z‖₁ over codes z and a dictionary D of unit norms.

    It takes the place of scikit-learn's `DictionaryLearning` and `MiniBatchDictionaryLearning`; `fit` and `transform`
    solve the same problem.

    Parameters
    ----------
    n_components : int, default 256
        Units.
    sparsity : float or "auto", default "auto"
        Weight of the L1 term, in the scale of the signals; "auto" finds the one that leaves `active_fraction` of the
        units active. scikit-learn's `alpha`. (Half of the talk's, which writes the square without ½.)
    active_fraction : float, default 0.02
        With "auto", the fraction of a signal's code that is not 0, and one unit at the least; 2 % is what the talk
        gives for the brain.
    positive, positive_components : bool, default False
        Codes, or units, must not be negative; scikit-learn's `positive_code` and `positive_dict`.
    l2 : float, default 0
        Weight of ½‖z‖² in the objective: with it, codes are those of the elastic net.
    max_nonzero : int, optional
        In place of `sparsity`, active units of each signal, in learning and coding: see `SparseCoder`.
    refit : bool, default False
        Replace the values of active units by those of least squares, in learning and coding.
    split_sign : bool, default False
        `transform` gives the positive parts of all units, then the negative parts.
    batch_size : int, default 512
        Signals a step. Larger ones use the cores better, smaller ones see the dictionary change more often.
    max_batches, max_epochs : int, default 1000 and 100
        The budget: as many batches, unless the data have been seen so many times before that.
    forgetting : float, default 3.0
        How fast statistics of old codes fade: those of n signals weigh (n / (n + m))^forgetting when m more have come.
        0 weighs all signals alike, as in the paper's algorithm 1; its text advises to fade, since early codes are of
        another dictionary. On natural patches and on made ones 2 to 5 ended lower than 1, and 1 lower than 0.
    start : float (n_components, n_features), optional
        The first dictionary; scikit-learn's `dict_init`. Otherwise signals that are drawn from the first batch.
    shuffle : bool, default True
        Learn from the signals of an array in random order, or, if False, as they come.
    method : str, default "active_set"
        The solver of `infer`.
    validation_fraction : float, default 0.1
        Held out, at most 1,000 signals, to see when to stop; with fewer than 50 signals, none.
    tolerance : float, default 1e-4
        Learning stops when the held-out objective has not fallen by this fraction in 300 batches.
    sparse_output : bool, default False
        `transform` returns a `scipy.sparse.csr_array`.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary, rows of unit norm.
    sparsity_ : float
        What was used; found, with "auto"; 0 with `max_nonzero`.
    usage_ : ndarray (n_components,)
        Share of recent signals that use each unit.
    n_batches_, n_steps_ : int
        Batches learned from; the second name is scikit-learn's.
    n_iter_ : int
        Epochs begun.
    n_replaced_ : int
        How many times a unit that nothing used was replaced.
    history_ : list of HeldOutObjective
        With `max_nonzero` objectives have no term of the sparsity.
    objective_ : float
        The last held-out objective; NaN without held-out signals.
    n_features_in_ : int

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

    _rules = _RULES

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
        self.random_state = random_state

    def fit(
        self,
        X: NDArray[Any] | Iterable[NDArray[Any]],
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str = "sparse-coding",
        progress: Progress | None = None,
        phase_name: str = "learning a dictionary",
        callback: Callable[[Self], object] | None = None,
        **weights: Unpack[_Weights],
    ) -> Self:
        """Learn from signals.

        Parameters
        ----------
        X : float (n_samples, n_features), or an iterator of such batches
            An array or a memory map, of which a batch at a time is read, in random order; float32 is the fast path.
            Batches of an iterator are learned from in their order and as they are; the first, of which signals are
            drawn for the first dictionary, should have some hundred.
        y : ignored
        checkpoint : Checkpoint, optional
            Where the state is saved whenever that is due, and found again: a fit that was killed goes on to the same
            bits, given the same signals (an iterator from its beginning), parameters and integer `random_state`.
        checkpoint_name : str
        progress : Progress, optional
        phase_name : str
        callback : callable, optional
            It is called with the learner after each batch; what it returns ends learning if it is True.
        sample_weight : float (n_samples,), optional
            How much each signal of an array counts, as if it were there so many times; those of weight 0 are not
            learned from. (It is not named in the signature, since scikit-learn then wants the same digits as from
            repeated signals, which no learner that draws batches has.)

        Returns
        -------
        SparseCoding
            Itself.

        Raises
        ------
        UsageError
            For parameters or signals that cannot be used.
        StriateError
            Where numbers grew beyond all bounds.
        """
        check_parameters(self, _RULES)
        unknown = weights.keys() - {"sample_weight"}
        if unknown:
            raise TypeError(f"SparseCoding.fit() got an unexpected keyword argument {min(unknown)!r}")
        sample_weight = weights.get("sample_weight")
        saved = checkpoint.load(checkpoint_name) if checkpoint is not None else None
        if saved is not None:
            self._restore(*saved)
        if hasattr(X, "__next__"):
            if sample_weight is not None:
                raise UsageError("sample_weight is for an array of signals: give an iterator's to partial_fit")
            budget, batches = self._of_iterator(X, saved is not None)
            held_out = None
        else:
            budget, batches, held_out = self._of_array(X, sample_weight, saved is not None)
        # Threads of BLAS would wait in a loop after each product, and take the processors from the kernels.
        with (
            single_threaded_blas(),
            (progress or Progress()).phase(phase_name, total=budget, unit="batches") as phase,
        ):
            phase.advance(self.n_batches_ if saved is not None else 0)
            for batch in batches:
                self._learn(batch, budget)
                is_last = self.n_batches_ == budget
                if held_out is not None and (self.n_batches_ % _CHECK_EVERY == 0 or is_last):
                    self.history_.append(self._look(held_out))
                    phase.note(_in_words(self.history_[-1]))
                if self.n_batches_ % _CHECK_EVERY == 0 and (budget is None or self.n_batches_ <= 0.8 * budget):
                    self._replace_unused_units(batch)
                phase.advance()
                if checkpoint is not None and checkpoint.due():
                    checkpoint.save(checkpoint_name, *self.to_state(training=True))
                if (callback is not None and callback(self) is True) or self._has_converged():
                    break
        if not hasattr(self, "components_"):
            raise UsageError("the iterator gave no signals to learn from")
        if checkpoint is not None:
            checkpoint.save(checkpoint_name, *self.to_state(training=True))
        return self

    def partial_fit(self, X: NDArray[Any], y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Go on learning from one more batch, of any size.

        The statistics after several calls are those of all their signals: with `forgetting` 0 exactly the paper's
        sums, however the signals are divided.

        Parameters
        ----------
        X : float (n_samples, n_features)
        y : ignored
        sample_weight : float (n_samples,), optional
            How much each signal counts, as if it were there so many times.
        """
        check_parameters(self, _RULES)
        started = hasattr(self, "components_")
        X = validated(self, X, reset=not started)
        weights = _checked_weights(sample_weight, len(X))
        if not started:
            self._begin(X if weights is None else X[weights > 0])
        self._own_arrays()
        batch = _Batch(self._scaled(X), weights)
        self._learn(batch, None)
        if self.n_batches_ % _CHECK_EVERY == 0:
            self._replace_unused_units(batch)
        return self

    def transform(self, X: NDArray[Any]) -> Any:
        """Optimal codes, (n_samples, n_components): float32 for float32 signals, else float64."""
        check_is_fitted(self)
        check_parameters(self, _RULES)
        X = validated(self, X, reset=False, finite=False)
        if not self._exponent:
            return self._codes(X, self.sparsity_, split_sign=self.split_sign, sparse_output=self.sparse_output)
        codes = self._codes(
            np.ldexp(X, -self._exponent), self._level, split_sign=self.split_sign, sparse_output=self.sparse_output
        )
        return codes * codes.dtype.type(2.0) ** self._exponent

    def infer(self, X: NDArray[Any], **options: Any) -> Any:
        """Optimal codes for `sparsity_`, with the options of `striate.coding.infer`: tolerance, start, info and others.

        `max_nonzero`, `refit` and `split_sign` are for `transform` alone.
        """
        check_is_fitted(self)
        if self.max_nonzero is not None:
            raise UsageError("infer needs a sparsity, and this learner has max_nonzero in place of one: use transform")
        X = validated(self, X, reset=False, finite=False)
        options = {
            "method": self.method, "positive": self.positive, "l2": self.l2, "sparse_output": self.sparse_output,
        } | options  # fmt: skip
        if not self._exponent:
            return infer(X, self.components_, self.sparsity_, **options)
        scale = np.ldexp(1.0, self._exponent)
        if options.get("start") is not None:
            options["start"] = np.asarray(options["start"]) / scale
        found = infer(np.ldexp(X, -self._exponent), self.components_, self._level, **options)
        if not options.get("info"):
            return found * found.dtype.type(scale)
        return replace(
            found, codes=found.codes * found.codes.dtype.type(scale), objective=found.objective * scale**2,
            gap=found.gap * scale**2,
        )  # fmt: skip

    def score(self, X: NDArray[Any], y: object = None) -> float:
        """Minus the mean objective of signals, with optimal codes: larger is better, as scikit-learn has it."""
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        return -self._objective(_Batch(self._scaled(X)))[0]

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also the statistics that learning goes on from."""
        check_is_fitted(self)
        arrays = {"components": self.components_, "usage": self.usage_}
        if self.start is not None:
            arrays["start"] = np.asarray(self.start, self.components_.dtype)
        if training:
            arrays |= {"code_products": self._code_products, "signal_products": self._signal_products}
        header = {
            "parameters": plain_parameters(self, apart=("start",)),
            "sparsity": self.sparsity_,
            "exponent": self._exponent,
            "seed": self._seed,
            "n_batches": self.n_batches_,
            "n_seen": self._n_seen,
            "n_iter": self.n_iter_,
            "n_replaced": self.n_replaced_,
            "history": [list(look) for look in self.history_],
        }
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        start = np.array(arrays["start"]) if "start" in arrays else None
        learner = cls(**{"start": start} | header["parameters"])
        learner._restore(arrays, header)
        return learner

    @property
    def n_steps_(self) -> int:
        """Batches learned from."""
        return self.n_batches_

    @property
    def objective_(self) -> float:
        """The last held-out objective."""
        return self.history_[-1].objective if self.history_ else float("nan")

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        self.components_ = np.array(arrays["components"])
        self.usage_ = np.array(arrays["usage"])
        n_components, n_features = self.components_.shape
        dtype = self.components_.dtype
        self._code_products = np.array(arrays.get("code_products", np.zeros((n_components, n_components), dtype)))
        self._signal_products = np.array(arrays.get("signal_products", np.zeros((n_components, n_features), dtype)))
        self.sparsity_ = float(header["sparsity"])
        self._exponent = int(header.get("exponent", 0))
        self._seed = int(header["seed"])
        self.n_batches_, self._n_seen = int(header["n_batches"]), float(header["n_seen"])
        self.n_iter_, self.n_replaced_ = int(header["n_iter"]), int(header["n_replaced"])
        self.history_ = [HeldOutObjective(*look) for look in header["history"]]
        self.n_features_in_ = n_features

    def _of_array(
        self, X: Any, sample_weight: ArrayLike | None, resumed: bool
    ) -> tuple[int, Iterator[_Batch], _Batch | None]:
        """Budget, batches and held-out signals of an array, which is read a batch at a time."""
        # Finite or not is seen batch by batch: of a memory map nothing but batches is read.
        signals = validated(self, X, finite=not isinstance(X, np.memmap), reset=True)
        weights = _checked_weights(sample_weight, len(signals))
        if not resumed:
            self._seed = int(generator_from(self.random_state).integers(2**62))
        schedule = Schedule(
            len(signals), int(self.batch_size), held_out_fraction=float(self.validation_fraction), seed=self._seed,
            shuffle=self.shuffle,
        )  # fmt: skip
        budget = min(int(self.max_batches), int(self.max_epochs) * schedule.batches_per_epoch)
        if not resumed:
            counted = schedule.train if weights is None else schedule.train[weights[schedule.train] > 0]
            first = counted[: max(4 * int(self.n_components), 2 * int(self.batch_size))]
            if not len(first):
                raise UsageError("sample_weight is 0 for all signals that are not held out")
            self._begin(np.asarray(signals[np.sort(first)]), seed=self._seed)

        def of_rows(rows: NDArray[np.int64]) -> _Batch:
            rows = np.sort(rows)
            return _Batch(self._scaled(np.asarray(signals[rows])), None if weights is None else weights[rows])

        def batches() -> Iterator[_Batch]:
            for rows in schedule.batches(self.n_batches_, budget):
                self.n_iter_ = 1 + self.n_batches_ // schedule.batches_per_epoch
                yield of_rows(rows)

        has_held_out = schedule.held_out.size and (weights is None or weights[schedule.held_out].any())
        return budget, batches(), of_rows(schedule.held_out) if has_held_out else None

    def _of_iterator(self, X: Any, resumed: bool) -> tuple[None, Iterator[_Batch]]:
        def batches() -> Iterator[_Batch]:
            started, n_done = resumed, self.n_batches_ if resumed else 0
            for number, batch in enumerate(X):
                if number >= int(self.max_batches):
                    break
                if number < n_done:
                    continue
                signals = validated(self, batch, reset=not started)
                if not started:
                    self._begin(signals)
                    started = True
                self.n_iter_ = 1
                yield _Batch(self._scaled(signals))

        return None, batches()

    def _begin(self, signals: NDArray[Any], seed: int | None = None) -> None:
        """The first dictionary, statistics of nothing, and a first automatic sparsity."""
        if seed is None:
            self._seed = int(generator_from(self.random_state).integers(2**62))
        rng = np.random.default_rng([self._seed, 1])
        n_features = signals.shape[1]
        largest = float(max(signals.max(initial=0), -signals.min(initial=0)))
        exponent = int(np.frexp(largest)[1])
        self._exponent = exponent if abs(exponent) > _TAME else 0
        if self._exponent:
            signals = np.ldexp(signals, -self._exponent)
        if self.start is not None:
            try:
                components = np.array(self.start, dtype=signals.dtype)
            except (ValueError, TypeError, OverflowError):
                components = np.empty(0, signals.dtype)
            if components.shape != (int(self.n_components), n_features) or not np.isfinite(components).all():
                raise UsageError(
                    f"start must be {self.n_components} units of {n_features} finite numbers, not {components.shape}"
                )
        else:
            drawn = rng.permutation(len(signals))[: int(self.n_components)]
            components = rng.standard_normal((int(self.n_components), n_features)).astype(signals.dtype)
            # A signal each; noise, where there are too few, and a little of it, so that no two units are twins.
            scale = np.sqrt(np.square(signals[drawn], dtype=np.float64).mean()) or 1.0
            components[: len(drawn)] = signals[drawn] + 0.01 * scale * components[: len(drawn)]
        if self.positive_components:
            components = np.abs(components)
        norms = np.linalg.norm(components, axis=1, keepdims=True)
        self.components_ = np.ascontiguousarray(components / np.where(norms > 0, norms, 1))
        dtype = self.components_.dtype
        self._code_products = np.zeros((int(self.n_components), int(self.n_components)), dtype)
        self._signal_products = np.zeros((int(self.n_components), n_features), dtype)
        self._n_seen = 0.0  # weights of signals, which are 1 unless they are given
        self.n_batches_, self.n_replaced_, self.n_iter_ = 0, 0, 0
        self.usage_ = np.zeros(int(self.n_components))
        self.history_ = []
        if self.max_nonzero is not None:
            self.sparsity_ = 0.0
        elif self.sparsity == "auto":
            found = self.sparsity_for(signals[:256], self.components_)
            self.sparsity_ = float(np.ldexp(found, self._exponent))
        else:
            self.sparsity_ = float(self.sparsity)

    def sparsity_for(self, signals: NDArray[Any], components: NDArray[Any]) -> float:
        """The sparsity that leaves `active_fraction` of these units, or one, active in codes of signals, by bisection.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            A few hundred are enough.
        components : float (n_components, n_features)
        """
        prepared = PreparedDictionary(components)
        fraction = self._wanted_fraction(prepared.n_components)
        high = float(np.abs(signals @ prepared.components.T).max())
        if not high > 0:
            return 1.0
        return find_sparsity(
            signals, prepared, fraction, low=1e-4 * high, high=high, n_steps=12, positive=self.positive
        )

    def _wanted_fraction(self, n_components: int) -> float:
        """Of a code's numbers that are not 0: those of one unit at the least, or most codes would be empty."""
        return min(max(float(self.active_fraction), 1 / n_components), 1 - 0.5 / n_components)

    @property
    def _level(self) -> float:
        """The sparsity in the learner's scale."""
        return float(np.ldexp(self.sparsity_, -self._exponent))

    def _scaled(self, signals: NDArray[Any]) -> NDArray[Any]:
        """Signals in the dictionary's type, and so that their squares neither vanish nor overflow."""
        signals = signals.astype(self.components_.dtype, copy=False)
        return np.ldexp(signals, -self._exponent) if self._exponent else signals

    def _own_arrays(self) -> None:
        """Make arrays that learning writes to writable: those of a mapped model are not."""
        for name in ("components_", "usage_", "_code_products", "_signal_products"):
            array = getattr(self, name)
            if not array.flags.writeable or isinstance(array, np.memmap):
                setattr(self, name, np.array(array))

    def _codes(self, signals: NDArray[Any], sparsity: float, **form: bool) -> Any:
        """Codes as they are learned from."""
        return transform(
            signals, self.components_, sparsity, method=self.method, positive=self.positive, l2=self.l2,
            max_nonzero=self.max_nonzero, refit=self.refit, **form,
        )  # fmt: skip

    def _learn(self, batch: _Batch, budget: int | None) -> None:
        """One batch: codes, statistics, and a sweep over the units."""
        signals, weights = batch
        codes = self._codes(signals, self._level)
        n_new: float = len(signals)
        active = codes != 0
        usage = active.mean(axis=0)
        transposed = np.ascontiguousarray(codes.T)
        if weights is not None:
            n_new = float(weights.sum())
            usage = weights @ active / n_new if n_new else self.usage_
            transposed = np.ascontiguousarray(transposed * weights.astype(codes.dtype))
        memory = _USAGE_MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (usage - self.usage_)
        keep = (self._n_seen / (self._n_seen + n_new)) ** float(self.forgetting) if n_new else 1
        for total, factor in ((self._code_products, codes), (self._signal_products, signals)):
            new = _product(transposed, factor)
            if keep != 1:
                total *= total.dtype.type(keep)
            total += new
        self._n_seen += n_new
        update_dictionary(
            self.components_, self._code_products, self._signal_products, positive=self.positive_components
        )
        self.n_batches_ += 1
        if not np.isfinite(self.components_.sum()):
            raise StriateError(
                f"SparseCoding: the dictionary is not finite after batch {self.n_batches_}; give signals in float64, "
                "or of fewer orders of magnitude"
            )
        settled = self.n_batches_ > _SETTLED * (budget or int(self.max_batches))
        if self.sparsity == "auto" and self.max_nonzero is None and not settled:
            wanted = self._wanted_fraction(len(self.components_))
            found = float(active.mean() if weights is None else usage.mean())
            self.sparsity_ *= float(np.clip((max(found, 0.1 * wanted) / wanted) ** _PATIENCE, 0.8, 1.25))

    def _replace_unused_units(self, batch: _Batch) -> None:
        """Give units that nothing uses the look of signals that the others code badly."""
        signals, weights = batch
        unused = np.flatnonzero(self.usage_ < _DEAD)
        if not unused.size:
            return
        residual = signals - self._codes(signals, self._level) @ self.components_
        errors = np.square(residual).sum(axis=1)
        if weights is not None:
            errors = errors * (weights > 0)
        worst = np.argsort(-errors, kind="stable")[: unused.size]
        worst = worst[errors[worst] > 0]
        unused = unused[: worst.size]
        units = np.maximum(signals[worst], 0) if self.positive_components else signals[worst]
        norms = np.linalg.norm(units, axis=1, keepdims=True)
        good = norms[:, 0] > 0
        unused, units, norms = unused[good], units[good], norms[good]
        self.components_[unused] = units / norms
        self._code_products[unused] = 0
        self._code_products[:, unused] = 0
        self._signal_products[unused] = 0
        self.usage_[unused] = self.usage_.mean()  # some batches' grace
        self.n_replaced_ += len(unused)

    def _objective(self, batch: _Batch) -> tuple[float, float]:
        """Mean objective of codes, in the scale of the signals as they were given, and their active fraction."""
        signals, weights = batch
        found = self._codes(signals, self._level, sparse_output=True)
        if self.max_nonzero is None:
            proof = certify(signals, found, self.components_, self._level, positive=self.positive, l2=float(self.l2))
            objective = proof.objective
        else:
            objective = 0.5 * np.square(signals - found @ self.components_, dtype=np.float64).sum(axis=1)
            objective += 0.5 * self.l2 * (found * found).sum(axis=1)
        active = found.nnz / max(found.shape[0] * found.shape[1], 1)
        mean = float(objective.mean() if weights is None else weights @ objective / weights.sum())
        with np.errstate(over="ignore"):  # squares of signals near the largest number are infinite
            return float(np.ldexp(mean, 2 * self._exponent)), active

    def _look(self, held_out: _Batch) -> HeldOutObjective:
        return HeldOutObjective(self.n_batches_, *self._objective(held_out), self.sparsity_)

    def _has_converged(self) -> bool:
        """The last looks brought nothing; from the history alone, so that a resumed fit agrees."""
        looks = self.history_
        if len(looks) <= _STALLED or looks[-1].sparsity != looks[-_STALLED - 1].sparsity:
            return False
        before = min(look.objective for look in looks[:-_STALLED] if look.sparsity == looks[-1].sparsity)
        return min(look.objective for look in looks[-_STALLED:]) > (1 - float(self.tolerance)) * before


def _checked_weights(weights: ArrayLike | None, n_samples: int) -> NDArray[np.float64] | None:
    """Weights of signals, (n_samples,); None where all count the same."""
    if weights is None:
        return None
    try:
        array = np.array(weights, np.float64)
    except (ValueError, TypeError):
        array = np.empty(0)
    if array.shape != (n_samples,) or not (np.isfinite(array) & (array >= 0)).all():
        raise UsageError(f"sample_weight is {n_samples} finite numbers of at least 0, one for each signal")
    if not array.any():
        raise UsageError("sample_weight is 0 for all signals: at least one must count")
    return array


def _product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """``left @ right``, with rows in threads of our own."""
    result = np.empty((len(left), right.shape[1]), left.dtype)

    def rows(first: int, last: int) -> None:
        np.matmul(left[first:last], right, out=result[first:last])

    in_threads(rows, len(left), left.shape[1] * right.shape[1])
    return result


def _in_words(look: HeldOutObjective) -> str:
    return f"held-out objective {look.objective:.4g}, {look.active:.1%} active, sparsity {look.sparsity:.3g}"
