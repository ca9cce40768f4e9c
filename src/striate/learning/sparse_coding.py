"""Sparse coding: a dictionary in which signals have codes with few active units, learned online."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.checkpoint import Checkpoint
from striate.coding import PreparedDictionary, certify, find_sparsity, infer
from striate.coding._estimator import CodeEstimator
from striate.coding.infer import Method
from striate.errors import UsageError
from striate.learning._dictionary_update import update_dictionary
from striate.learning._patch_learner import is_plain
from striate.learning._schedule import Schedule
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
        With "auto", the fraction of a signal's code that is not 0; 2 % is what the talk gives for the brain.
    positive, positive_components : bool, default False
        Codes, or units, must not be negative; scikit-learn's `positive_code` and `positive_dict`.
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
        What was used; found, with "auto".
    usage_ : ndarray (n_components,)
        Share of recent signals that use each unit.
    n_batches_, n_steps_ : int
        Batches learned from; the second name is scikit-learn's.
    n_iter_ : int
        Epochs begun.
    n_replaced_ : int
        How many times a unit that nothing used was replaced.
    history_ : list of HeldOutObjective
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

    history_: list[HeldOutObjective]

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: float | Literal["auto"] = "auto",
        active_fraction: float = 0.02,
        positive: bool = False,
        positive_components: bool = False,
        batch_size: int = 512,
        max_batches: int = 1000,
        max_epochs: int = 100,
        forgetting: float = 3.0,
        start: ArrayLike | None = None,
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
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.forgetting = forgetting
        self.start = start
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

        Returns
        -------
        SparseCoding
            Itself.
        """
        self._check_parameters()
        saved = checkpoint.load(checkpoint_name) if checkpoint is not None else None
        if saved is not None:
            self._restore(*saved)
        if hasattr(X, "__next__"):
            budget, batches = self._of_iterator(X, saved is not None)
            held_out = None
        else:
            budget, batches, held_out = self._of_array(X, saved is not None)
        # Threads of BLAS would wait in a loop after each product, and take the processors from the kernels.
        with (
            single_threaded_blas(),
            (progress or Progress()).phase(phase_name, total=budget, unit="batches") as phase,
        ):
            phase.advance(self.n_batches_ if saved is not None else 0)
            for signals in batches:
                self._learn(signals, budget)
                is_last = self.n_batches_ == budget
                if held_out is not None and (self.n_batches_ % _CHECK_EVERY == 0 or is_last):
                    self.history_.append(self._look(held_out))
                    phase.note(_in_words(self.history_[-1]))
                if self.n_batches_ % _CHECK_EVERY == 0 and (budget is None or self.n_batches_ <= 0.8 * budget):
                    self._replace_unused_units(signals)
                phase.advance()
                if checkpoint is not None and checkpoint.due():
                    checkpoint.save(checkpoint_name, *self.to_state(training=True))
                if self._has_converged():
                    break
        if not hasattr(self, "components_"):
            raise UsageError("the iterator gave no signals to learn from")
        if checkpoint is not None:
            checkpoint.save(checkpoint_name, *self.to_state(training=True))
        return self

    def partial_fit(self, X: NDArray[Any], y: object = None) -> Self:
        """Go on learning from one more batch, of any size.

        The statistics after several calls are those of all their signals: with `forgetting` 0 exactly the paper's
        sums, however the signals are divided.

        Parameters
        ----------
        X : float (n_samples, n_features)
        y : ignored
        """
        self._check_parameters()
        started = hasattr(self, "components_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=not started)
        if not started:
            self._begin(X)
        self._learn(X.astype(self.components_.dtype, copy=False), None)
        if self.n_batches_ % _CHECK_EVERY == 0:
            self._replace_unused_units(X.astype(self.components_.dtype, copy=False))
        return self

    def transform(self, X: NDArray[Any]) -> Any:
        """Optimal codes, (n_samples, n_components): float32 for float32 signals, else float64."""
        return self.infer(X)

    def infer(self, X: NDArray[Any], **options: Any) -> Any:
        """As `transform`, with the options of `striate.coding.infer`: tolerance, start, info and others."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False, ensure_all_finite=False)
        options = {"method": self.method, "positive": self.positive, "sparse_output": self.sparse_output} | options
        return infer(X, self.components_, self.sparsity_, **options)

    def score(self, X: NDArray[Any], y: object = None) -> float:
        """Minus the mean objective of signals, with optimal codes: larger is better, as scikit-learn has it."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return -self._objective(X)[0]

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also the statistics that learning goes on from."""
        check_is_fitted(self)
        arrays = {"components": self.components_, "usage": self.usage_}
        if training:
            arrays |= {"code_products": self._code_products, "signal_products": self._signal_products}
        parameters = {name: value for name, value in self.get_params().items() if is_plain(value)}
        header = {
            "parameters": parameters,
            "sparsity": self.sparsity_,
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
        learner = cls(**header["parameters"])
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
        self._seed = int(header["seed"])
        self.n_batches_, self._n_seen = int(header["n_batches"]), int(header["n_seen"])
        self.n_iter_, self.n_replaced_ = int(header["n_iter"]), int(header["n_replaced"])
        self.history_ = [HeldOutObjective(*look) for look in header["history"]]
        self.n_features_in_ = n_features

    def _of_array(self, X: Any, resumed: bool) -> tuple[int, Iterator[NDArray[Any]], NDArray[Any] | None]:
        """Budget, batches and held-out signals of an array, which is read a batch at a time."""
        # Finite or not is seen batch by batch: of a memory map nothing but batches is read.
        signals = validate_data(
            self, X, dtype=[np.float64, np.float32], ensure_all_finite=not isinstance(X, np.memmap), reset=True
        )
        if not resumed:
            self._seed = int(generator_from(self.random_state).integers(2**62))
        schedule = Schedule(len(signals), self.batch_size, held_out_fraction=self.validation_fraction, seed=self._seed)
        budget = min(self.max_batches, self.max_epochs * schedule.batches_per_epoch)
        if not resumed:
            first = schedule.train[: max(4 * self.n_components, 2 * self.batch_size)]
            self._begin(np.asarray(signals[np.sort(first)]), seed=self._seed)

        def batches() -> Iterator[NDArray[Any]]:
            for rows in schedule.batches(self.n_batches_, budget):
                self.n_iter_ = 1 + self.n_batches_ // schedule.batches_per_epoch
                yield np.asarray(signals[np.sort(rows)])

        held_out = np.asarray(signals[np.sort(schedule.held_out)]) if schedule.held_out.size else None
        return budget, batches(), held_out

    def _of_iterator(self, X: Any, resumed: bool) -> tuple[None, Iterator[NDArray[Any]]]:
        def batches() -> Iterator[NDArray[Any]]:
            started, n_done = resumed, self.n_batches_ if resumed else 0
            for number, batch in enumerate(X):
                if number >= self.max_batches:
                    break
                if number < n_done:
                    continue
                signals = validate_data(self, batch, dtype=[np.float64, np.float32], reset=not started)
                if not started:
                    self._begin(signals)
                    started = True
                self.n_iter_ = 1
                yield signals.astype(self.components_.dtype, copy=False)

        return None, batches()

    def _begin(self, signals: NDArray[Any], seed: int | None = None) -> None:
        """The first dictionary, statistics of nothing, and a first automatic sparsity."""
        if seed is None:
            self._seed = int(generator_from(self.random_state).integers(2**62))
        rng = np.random.default_rng([self._seed, 1])
        n_features = signals.shape[1]
        if self.start is not None:
            components = np.array(self.start, dtype=signals.dtype)
            if components.shape != (self.n_components, n_features) or not np.isfinite(components).all():
                raise UsageError(
                    f"start must be {self.n_components} units of {n_features} finite numbers, not {components.shape}"
                )
        else:
            drawn = rng.permutation(len(signals))[: self.n_components]
            components = rng.standard_normal((self.n_components, n_features)).astype(signals.dtype)
            # A signal each; noise, where there are too few, and a little of it, so that no two units are twins.
            scale = np.sqrt(np.square(signals[drawn], dtype=np.float64).mean()) or 1.0
            components[: len(drawn)] = signals[drawn] + 0.01 * scale * components[: len(drawn)]
        if self.positive_components:
            components = np.abs(components)
        norms = np.linalg.norm(components, axis=1, keepdims=True)
        self.components_ = np.ascontiguousarray(components / np.where(norms > 0, norms, 1))
        dtype = self.components_.dtype
        self._code_products = np.zeros((self.n_components, self.n_components), dtype)
        self._signal_products = np.zeros((self.n_components, n_features), dtype)
        self._n_seen, self.n_batches_, self.n_replaced_, self.n_iter_ = 0, 0, 0, 0
        self.usage_ = np.zeros(self.n_components)
        self.history_ = []
        automatic = self.sparsity == "auto"
        self.sparsity_ = self.sparsity_for(signals[:256], self.components_) if automatic else float(self.sparsity)

    def sparsity_for(self, signals: NDArray[Any], components: NDArray[Any]) -> float:
        """The sparsity that leaves `active_fraction` of these units active in the codes of signals, by bisection.

        Parameters
        ----------
        signals : float (n_samples, n_features)
            A few hundred are enough.
        components : float (n_components, n_features)
        """
        prepared = PreparedDictionary(components)
        high = float(np.abs(signals @ prepared.components.T).max())
        if not high > 0:
            return 1.0
        return find_sparsity(
            signals, prepared, self.active_fraction, low=1e-4 * high, high=high, n_steps=12, positive=self.positive
        )

    def _learn(self, signals: NDArray[Any], budget: int | None) -> None:
        """One batch: codes, statistics, and a sweep over the units."""
        codes = infer(signals, self.components_, self.sparsity_, method=self.method, positive=self.positive)
        n_new = len(signals)
        active = codes != 0
        memory = _USAGE_MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (active.mean(axis=0) - self.usage_)
        keep = (self._n_seen / (self._n_seen + n_new)) ** self.forgetting
        transposed = np.ascontiguousarray(codes.T)
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
        settled = self.n_batches_ > _SETTLED * (budget or self.max_batches)
        if self.sparsity == "auto" and not settled:
            fraction = max(float(active.mean()), 0.1 * self.active_fraction)
            self.sparsity_ *= float(np.clip((fraction / self.active_fraction) ** _PATIENCE, 0.8, 1.25))

    def _replace_unused_units(self, signals: NDArray[Any]) -> None:
        """Give units that nothing uses the look of signals that the others code badly."""
        unused = np.flatnonzero(self.usage_ < _DEAD)
        if not unused.size:
            return
        codes = infer(signals, self.components_, self.sparsity_, method=self.method, positive=self.positive)
        residual = signals - codes @ self.components_
        errors = np.square(residual).sum(axis=1)
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

    def _objective(self, signals: NDArray[Any]) -> tuple[float, float]:
        """Mean objective of optimal codes, and their active fraction."""
        found = infer(
            signals, self.components_, self.sparsity_, method=self.method, positive=self.positive, sparse_output=True
        )
        proof = certify(signals, found, self.components_, self.sparsity_, positive=self.positive)
        return float(proof.objective.mean()), found.nnz / max(found.shape[0] * found.shape[1], 1)

    def _look(self, held_out: NDArray[Any]) -> HeldOutObjective:
        return HeldOutObjective(self.n_batches_, *self._objective(held_out), self.sparsity_)

    def _has_converged(self) -> bool:
        """The last looks brought nothing; from the history alone, so that a resumed fit agrees."""
        looks = self.history_
        if len(looks) <= _STALLED or looks[-1].sparsity != looks[-_STALLED - 1].sparsity:
            return False
        before = min(look.objective for look in looks[:-_STALLED] if look.sparsity == looks[-1].sparsity)
        return min(look.objective for look in looks[-_STALLED:]) > (1 - self.tolerance) * before

    def _check_parameters(self) -> None:
        for name in ("n_components", "batch_size", "max_batches", "max_epochs"):
            if getattr(self, name) < 1:
                raise UsageError(f"SparseCoding needs {name} >= 1; got {getattr(self, name)}")
        if self.sparsity != "auto" and not (isinstance(self.sparsity, float | int | np.floating) and self.sparsity > 0):
            raise UsageError(f'sparsity must be above 0, or "auto"; got {self.sparsity!r}')
        if not 0 < self.active_fraction < 1:
            raise UsageError(f"active_fraction must be between 0 and 1; got {self.active_fraction}")


def _product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """``left @ right``, with rows in threads of our own."""
    result = np.empty((len(left), right.shape[1]), left.dtype)

    def rows(first: int, last: int) -> None:
        np.matmul(left[first:last], right, out=result[first:last])

    in_threads(rows, len(left), left.shape[1] * right.shape[1])
    return result


def _in_words(look: HeldOutObjective) -> str:
    return f"held-out objective {look.objective:.4g}, {look.active:.1%} active, sparsity {look.sparsity:.3g}"
