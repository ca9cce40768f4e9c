"""Learning from mini-batches: their order, checkpoints, validation, convergence, dead units and progress, in one place.

A learner defines how it is initialized, how it learns from a batch, and how it is evaluated on held-out samples.
`OnlineLearner` provides `fit` and `partial_fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, islice
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning._schedule import FEWEST, MOST_HELD_OUT, Schedule
from striate.parameters import Boolean, Integer, Rule, check_parameters, parameter, plain_parameters
from striate.progress import Phase, Progress, RichProgress
from striate.randomness import generator_from
from striate.samples import estimator_samples, writable
from striate.stored import with_parameters
from striate.threads import single_threaded_blas

__all__ = ["VERBOSE", "Course", "OnlineLearner", "Start", "silent_blas", "stalled"]

VERBOSE: Rule = Boolean() | Integer(low=0)
# Overflows are checked for after the step, and reported in one sentence.
_SILENT: dict[str, Any] = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}

_OF_SCHEDULE = ("batch_size", "n_epochs", "max_batches", "max_epochs", "validation_fraction", "shuffle")
_TIME_TO_LEARN = 0.2  # last fraction of a fit, in which no unit is replaced: a new unit needs time to learn


@contextmanager
def silent_blas(*, single: bool = True) -> Iterator[None]:
    """No warnings of overflows, and BLAS with one thread unless `single` is False."""
    with single_threaded_blas() if single else nullcontext(), np.errstate(**_SILENT):
        yield


class Start(NamedTuple):
    """What a learner is initialized from."""

    samples: Any  # what `_samples` returned
    schedule: Schedule | None  # of `fit` on an array; None for the first batch of a stream or of `partial_fit`
    rng: np.random.Generator
    progress: Progress

    @property
    def rows(self) -> NDArray[np.int64]:
        """Numbers of the samples that are not held out; in random order, if the learner shuffles."""
        return np.arange(len(self.samples)) if self.schedule is None else self.schedule.train


class Course(NamedTuple):
    """Position in a fit; without numbers for a stream and for `partial_fit`, whose length is not known."""

    n_batches: int | None = None
    per_epoch: int | None = None


class _Lessons(NamedTuple):
    course: Course
    batches: Iterator[Any]
    held_out: Any | None
    n_done: int  # batches before these, of the fit that is resumed


class OnlineLearner:
    """A learner that sees its samples in mini-batches.

    A subclass is a scikit-learn estimator with `_rules` for its parameters. Those with these names are used here:
    `batch_size`; `n_epochs`, or `max_batches` and `max_epochs`; `validation_fraction`, `tolerance`, `shuffle`,
    `verbose` and `random_state`. It has the methods `_begin` and `_learn`, and `_evaluate` if it can be evaluated;
    `_learned` lists the attributes that hold arrays, so that its state can be saved.

    `_seed`, `n_batches_` and `history_` are set here. Random numbers are a function of `_seed` and `n_batches_`, so
    that an interrupted fit can continue with the same bits.
    """

    _rules: ClassVar[Mapping[str, Rule]]
    _learned: ClassVar[tuple[str, ...]] = ("components_",)
    _statistics: ClassVar[tuple[str, ...]] = ()  # arrays that only learning needs
    _apart: ClassVar[tuple[str, ...]] = ()  # parameters that `to_state` stores in another way than as JSON
    _checkpoint_name: ClassVar[str] = "learner"
    _phase_name: ClassVar[str] = "learning"
    _check_every: ClassVar[int | None] = None  # batches between evaluations; None is an epoch
    _patience: ClassVar[int | None] = None  # learning ends after this number of evaluations without a gain
    _most_held_out: ClassVar[int] = MOST_HELD_OUT
    _fewest: ClassVar[int] = FEWEST  # samples of which any are held out

    components_: NDArray[Any]
    n_features_in_: int
    n_batches_: int
    history_: list[Any]
    _seed: int

    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        checkpoint: Checkpoint | None = None,
        checkpoint_name: str | None = None,
        progress: Progress | None = None,
        phase_name: str | None = None,
        callback: Callable[[Self], object] | None = None,
        **beside: Any,
    ) -> Self:
        """Learn from samples.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            An array or a memory map, which is read one batch at a time, in random order; RBM and DeepAutoencoder also
            take a sparse matrix of SciPy, which is made dense one batch at a time. float32 is faster.
            A learner with `max_batches` also takes an iterator of such arrays, and learns from each as it is, in their
            order; the first should have some hundred samples.
        y : ignored
        checkpoint : Checkpoint, optional
            Where the state is saved from time to time. A fit that was killed continues from it with the same bits,
            given the same data (an iterator from its beginning), parameters and integer `random_state`.
        checkpoint_name : str, optional
            Name of this fit, if the checkpoint holds several.
        progress : Progress, optional
            Receives the progress; by default it is shown in the terminal if `verbose` is set.
        phase_name : str, optional
            Name of this fit in the progress.
        callback : callable, optional
            Is called with the learner after each batch; learning ends when it returns True.
        **beside
            Values per sample, such as the `sample_weight` of SparseCoding.

        Returns
        -------
        Self
            The learner itself.

        Raises
        ------
        UsageError
            For parameters or data that cannot be used, or weights that grow without bound.
        """
        check_parameters(self, self._rules)
        if progress is None:
            progress = RichProgress() if getattr(self, "verbose", False) else Progress()
        saved = _Saved(checkpoint, checkpoint_name or self._checkpoint_name)
        if hasattr(X, "__next__") and "max_batches" in self._rules:
            if beside:
                raise UsageError(f"{min(beside)} is for an array of samples: give an iterator's to partial_fit")
            lessons = self._of_stream(X, resumed=saved.restore(self), progress=progress)
        else:
            samples = self._samples(X, reset=True, **beside)
            lessons = self._of_array(samples, resumed=saved.restore(self), progress=progress)
            saved.update(self)  # keeps what the initialization has learned, if it took long
        with (
            self._context(),
            progress.phase(phase_name or self._phase_name, total=lessons.course.n_batches, unit="batches") as phase,
        ):
            phase.advance(lessons.n_done)
            for batch in lessons.batches:
                self._take(batch, lessons, phase)
                saved.update(self)
                if (callback is not None and callback(self) is True) or self._has_converged():
                    break
        self._conclude()
        saved.update(self, whenever=True)  # so that a resumed run does not learn it again
        return self

    def partial_fit(self, X: Any, y: object = None) -> Self:
        """Continue learning from more samples, each once and in their order, `batch_size` at a time.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            The first call initializes the model and its scales; it should have some hundred samples.
        y : ignored

        Returns
        -------
        Self
            The learner itself.
        """
        return self._go_on(X, parameter(self, "batch_size"))

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also all that learning needs to continue with the same bits."""
        check_is_fitted(self)
        names = self._learned + (self._statistics if training else ())
        arrays = {name.strip("_"): getattr(self, name) for name in names}
        header = {
            "parameters": plain_parameters(self, apart=self._apart),
            "seed": self._seed,
            "n_batches": self.n_batches_,
            "history": [list(found) if isinstance(found, tuple) else found for found in self.history_],
        }
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        learner: Self = with_parameters(cls, header)
        learner._restore(arrays, header)
        return learner

    def _samples(self, X: Any, *, reset: bool) -> Any:
        """The data, checked: an object that has a length and can be indexed with row numbers."""
        return estimator_samples(self, X, reset=reset)

    def _batch(self, samples: Any, rows: NDArray[np.int64]) -> Any:
        """Some of the samples, as `_learn` and `_evaluate` take them; in sorted order, which reads files faster."""
        return samples[np.sort(rows)]

    def _held_out(self, samples: Any, rows: NDArray[np.int64]) -> Any:
        """The samples that are held out, as `_evaluate` takes them."""
        return self._batch(samples, rows)

    def _begin(self, start: Start) -> None:
        """Initialize everything that is learned."""
        raise NotImplementedError

    def _learn(self, batch: Any, course: Course) -> None:
        """Learn from one batch; `n_batches_` is its number, counted from 0."""
        raise NotImplementedError

    def _evaluate(self, held_out: Any) -> Any:
        """Evaluate the model on held-out samples: an entry of `history_`, or None for no entry."""
        return None

    def _describe(self, found: Any) -> str:
        """An entry of `history_`, in a few words."""
        return f"held-out error {found:.4g}"

    def _held_out_errors(self) -> Sequence[float]:
        """The error of each entry of `history_` that can be compared with the last one."""
        return self.history_

    def _has_converged(self) -> bool:
        """Whether to stop; decided from the history alone, so that a resumed fit stops at the same batch."""
        tolerance = parameter(self, "tolerance") if "tolerance" in self._rules else 0.0
        return self._patience is not None and stalled(self._held_out_errors(), self._patience, tolerance)

    def _replace_dead_units(self, batch: Any) -> None:
        """Replace units that no sample uses."""

    def _conclude(self) -> None:
        """Called after the last batch and before each save; raises an error for a state that must not be kept."""

    def _context(self) -> AbstractContextManager[Any]:
        """The context in which batches are learned from."""
        return single_threaded_blas()

    def _own_arrays(self) -> None:
        """Make arrays that learning changes in place writable: those of a memory-mapped model are read-only."""
        for name in self._learned + self._statistics:
            setattr(self, name, writable(getattr(self, name)))

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        # Copies: arrays read from a file may be read-only, and further learning changes them in place.
        for name in self._learned + self._statistics:
            if name in self._learned or name.strip("_") in arrays:
                setattr(self, name, np.array(arrays[name.strip("_")]))
        first = getattr(self, self._learned[0])
        if first.ndim == 2:  # filters of images have no number of features
            self.n_features_in_ = first.shape[1]
        self._seed, self.n_batches_ = int(header["seed"]), int(header["n_batches"])
        self.history_ = list(header.get("history", ()))

    def _new_seed(self) -> np.random.Generator:
        rng = generator_from(parameter(self, "random_state"))
        self._seed = int(rng.integers(2**62))
        return rng

    def _start(self, start: Start) -> None:
        self._begin(start)
        self.n_batches_ = 0
        self.history_ = []

    def _of_array(self, samples: Any, *, resumed: bool, progress: Progress) -> _Lessons:
        """Shuffled epochs of samples that are read one batch at a time; initializes the model."""
        rng = None if resumed else self._new_seed()
        given = {name: parameter(self, name) for name in _OF_SCHEDULE if name in self._rules}
        schedule = Schedule(
            len(samples), given["batch_size"], held_out_fraction=given.get("validation_fraction", 0.0),
            seed=self._seed, shuffle=given.get("shuffle", True), most_held_out=self._most_held_out, fewest=self._fewest,
        )  # fmt: skip
        per_epoch = schedule.batches_per_epoch
        n_epochs = given.get("n_epochs") or given["max_epochs"]
        n_batches = min(n_epochs * per_epoch, given.get("max_batches", n_epochs * per_epoch))
        if rng is not None:
            self._start(Start(samples, schedule, rng, progress))
        ended = resumed and self._has_converged()
        rows = schedule.batches(n_batches if ended else self.n_batches_, n_batches)
        return _Lessons(
            Course(n_batches, per_epoch),
            (self._batch(samples, some) for some in rows),
            self._held_out(samples, schedule.held_out) if schedule.held_out.size else None,
            n_done=self.n_batches_,
        )

    def _of_stream(self, arrays: Iterator[Any], *, resumed: bool, progress: Progress) -> _Lessons:
        """Arrays in the order of the iterator; initializes the model with the first."""
        n_done = self.n_batches_ if resumed else 0

        def batches() -> Iterator[Any]:
            started = resumed
            for array in islice(arrays, n_done, parameter(self, "max_batches")):
                samples = self._samples(array, reset=not started)
                if not started:
                    self._start(Start(samples, None, self._new_seed(), progress))
                    started = True
                yield self._batch(samples, np.arange(len(samples)))

        drawn = batches()
        if resumed:
            return _Lessons(Course(), drawn, None, n_done)
        first = list(islice(drawn, 1))
        if not first:
            raise UsageError("the iterator gave no samples to learn from")
        return _Lessons(Course(), chain(first, drawn), None, n_done)

    def _take(self, batch: Any, lessons: _Lessons, phase: Phase) -> None:
        """Learn from one batch; then evaluate, replace units and save, if that is due."""
        course = lessons.course
        self._learn(batch, course)
        self.n_batches_ += 1
        if lessons.held_out is not None and (self._is_check(course) or self.n_batches_ == course.n_batches):
            found = self._evaluate(lessons.held_out)
            if found is not None:
                self.history_.append(found)
                phase.note(self._describe(found))
        if self._is_check(course) and (
            course.n_batches is None or self.n_batches_ <= (1 - _TIME_TO_LEARN) * course.n_batches
        ):
            self._replace_dead_units(batch)
        phase.advance()

    def _is_check(self, course: Course) -> bool:
        every = self._check_every or course.per_epoch
        return every is not None and self.n_batches_ % every == 0

    def _go_on(self, X: Any, batch_size: int | None, **beside: Any) -> Self:
        """The work of `partial_fit`, in batches of a given size, or in one."""
        check_parameters(self, self._rules)
        started = hasattr(self, "n_batches_")
        samples = self._samples(X, reset=not started, **beside)
        if started:
            self._own_arrays()
        else:
            self._start(Start(samples, None, self._new_seed(), Progress()))
        lessons = _Lessons(Course(), iter(()), None, 0)
        phase = Phase("", None, "batches")
        n, step = len(samples), batch_size or len(samples)
        with self._context():
            for first in range(0, n, step):
                self._take(self._batch(samples, np.arange(first, min(first + step, n))), lessons, phase)
        self._conclude()
        return self


class _Saved:
    """The checkpoint of a fit, if there is one."""

    def __init__(self, checkpoint: Checkpoint | None, name: str) -> None:
        self.checkpoint, self.name = checkpoint, name

    def restore(self, learner: OnlineLearner) -> bool:
        """Restore a saved state; return whether there was one."""
        saved = None if self.checkpoint is None else self.checkpoint.load(self.name)
        if saved is not None:
            learner._restore(*saved)
        return saved is not None

    def update(self, learner: OnlineLearner, *, whenever: bool = False) -> None:
        """Save the state, if it is time to."""
        if self.checkpoint is not None and (whenever or self.checkpoint.due()):
            learner._conclude()
            self.checkpoint.save(self.name, *learner.to_state(training=True))


def stalled(errors: Sequence[float], patience: int, tolerance: float) -> bool:
    """Whether the last errors, `patience` of them, have not fallen by the fraction `tolerance` below those before."""
    return len(errors) > patience and min(errors[-patience:]) > (1 - tolerance) * min(errors[:-patience])
