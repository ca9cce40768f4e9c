"""The one mechanism of online fits, on a learner of a few lines."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning import RBM, SparseCoding
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start, stalled
from striate.parameters import Integer, Real, Rule, Seed
from striate.progress import Progress
from tests.killing import learn_through_kills


class OnlineKMeans(OnlineLearner, TransformerMixin, BaseEstimator):
    """Centers, each the running mean of the samples that were nearest to it (MacQueen, 1967)."""

    _rules: ClassVar[dict[str, Rule]] = {
        "n_clusters": Integer(low=1), "batch_size": Integer(low=1), "max_batches": Integer(low=1),
        "max_epochs": Integer(low=1), "validation_fraction": Real(low=0, below=1), "tolerance": Real(low=0),
        "verbose": VERBOSE, "random_state": Seed(),
    }  # fmt: skip
    _learned = ("components_", "counts_")
    _check_every = 10
    _patience = 5

    def __init__(
        self, n_clusters: int = 4, *, batch_size: int = 20, max_batches: int = 200, max_epochs: int = 100,
        validation_fraction: float = 0.1, tolerance: float = 1e-3, verbose: int = 0, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.n_clusters, self.batch_size, self.max_batches = n_clusters, batch_size, max_batches
        self.max_epochs, self.validation_fraction, self.tolerance = max_epochs, validation_fraction, tolerance
        self.verbose, self.random_state = verbose, random_state

    def _begin(self, start: Start) -> None:
        self.components_ = start.samples[start.rows[: self.n_clusters]] + 0.0
        self.counts_ = np.ones(self.n_clusters)

    def _nearest(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares = np.square(batch[:, np.newaxis] - self.components_).sum(axis=2)
        return squares.argmin(axis=1), squares.min(axis=1)

    def _learn(self, batch: np.ndarray, course: Course) -> None:
        for row, nearest in zip(batch, self._nearest(batch)[0], strict=True):
            self.counts_[nearest] += 1
            self.components_[nearest] += (row - self.components_[nearest]) / self.counts_[nearest]

    def _evaluate(self, held_out: np.ndarray) -> float:
        return float(self._nearest(held_out)[1].mean())


def clusters(rng: np.random.Generator, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    centers = 10 * rng.standard_normal((4, 3))
    return centers[np.arange(n) % 4] + 0.1 * rng.standard_normal((n, 3)), centers


def same(one: OnlineLearner, other: OnlineLearner) -> bool:
    (arrays, header), (other_arrays, other_header) = (learner.to_state(training=True) for learner in (one, other))
    return header == other_header and all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_a_small_learner_learns_evaluates_and_stops(rng: np.random.Generator) -> None:
    rows, centers = clusters(rng)
    progress = Progress()
    learner = OnlineKMeans(tolerance=0.5, max_batches=10_000, max_epochs=10_000, random_state=1)
    learner.fit(rows, progress=progress, phase_name="clusters")
    assert [len(learner.history_) * 10, progress.records[0].items] == [learner.n_batches_] * 2
    assert progress.records[0].name == "clusters"
    assert learner.n_batches_ < 1000  # it has converged
    assert stalled(learner.history_, 5, 0.5)
    assert not stalled(learner.history_[:-1], 5, 0.5)
    nearest = np.square(learner.components_[:, np.newaxis] - centers).sum(axis=2).min(axis=1)
    assert np.median(nearest) < 0.1


def test_the_budget_is_batches_or_epochs(rng: np.random.Generator) -> None:
    rows, _ = clusters(rng, 100)
    assert OnlineKMeans(max_batches=7).fit(rows).n_batches_ == 7
    assert OnlineKMeans(max_epochs=2, tolerance=0).fit(rows).n_batches_ == 2 * 5
    assert OnlineKMeans(validation_fraction=0, max_batches=7).fit(rows).history_ == []


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_fit_ends_with_the_same_bits(rng: np.random.Generator, tmp_path: Path, seed: int) -> None:
    rows, _ = clusters(rng)
    whole = OnlineKMeans(tolerance=0, random_state=3).fit(rows)

    def learn(checkpoint: Checkpoint) -> OnlineKMeans:
        return OnlineKMeans(tolerance=0, random_state=3).fit(rows, checkpoint=checkpoint)

    kills = np.random.default_rng(seed)
    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: int(kills.integers(0, 40)))
    assert resumes > 2
    assert same(whole, pieces)


@pytest.mark.parametrize("make", [OnlineKMeans, SparseCoding])
def test_a_fit_that_has_converged_is_found_and_not_continued(
    rng: np.random.Generator, tmp_path: Path, make: type[Any]
) -> None:
    rows, _ = clusters(rng)
    learner = make(4, tolerance=0.9, batch_size=20, max_batches=2000, random_state=0)
    if make is SparseCoding:
        learner.set_params(sparsity=0.1)
    learner.fit(rows, checkpoint=Checkpoint(tmp_path / "run", {}))
    assert learner.n_batches_ < 2000
    again = clone(learner).fit(rows, checkpoint=Checkpoint(tmp_path / "run", {}))
    assert same(learner, again)


def test_streams_files_and_memory_maps_teach_the_same(rng: np.random.Generator, tmp_path: Path) -> None:
    rows, _ = clusters(rng)
    streamed = OnlineKMeans(max_batches=30, random_state=0).fit(rows[n : n + 20] for n in range(0, 600, 20))
    by_hand = OnlineKMeans(random_state=0)
    for n in range(0, 600, 300):
        by_hand.partial_fit(rows[n : n + 300])
    np.testing.assert_array_equal(streamed.components_, by_hand.components_)
    assert streamed.n_batches_ == by_hand.n_batches_ == 30
    copies = [OnlineKMeans.from_state(*by_hand.to_state(training=True)), pickle.loads(pickle.dumps(by_hand))]
    by_hand.partial_fit(rows[:50])
    for copy in copies:
        assert same(copy.partial_fit(rows[:50]), by_hand)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert same(OnlineKMeans(random_state=0).fit(rows), OnlineKMeans(random_state=0).fit(mapped))
    with pytest.raises(UsageError, match="no samples"):
        OnlineKMeans().fit(iter([]))


def test_a_stream_is_not_drawn_from_beyond_the_budget(rng: np.random.Generator) -> None:
    stream = iter(rng.standard_normal((9, 20, 3)))
    OnlineKMeans(max_batches=4).fit(stream)
    assert len(list(stream)) == 5


def test_a_callback_ends_learning(rng: np.random.Generator) -> None:
    rows, _ = clusters(rng)
    learner = OnlineKMeans().fit(rows, callback=lambda learner: learner.n_batches_ == 4)
    assert learner.n_batches_ == 4


def test_verbose_shows_progress_and_changes_nothing_else(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rng.random((60, 8)).astype(np.float32)
    for quiet in (
        OnlineKMeans(max_batches=5, random_state=0),
        RBM(4, n_epochs=2, random_state=0),
        SparseCoding(4, max_batches=5, random_state=0),
    ):
        verbose = clone(quiet).set_params(verbose=1)
        assert clone(verbose).verbose == 1
        quiet.fit(rows)
        assert capsys.readouterr().err == ""
        verbose.fit(rows)
        assert "batches" in capsys.readouterr().err
        assert same(quiet, verbose)
        verbose.fit(rows, progress=Progress())  # what is given decides
        assert capsys.readouterr().err == ""
        with pytest.raises(UsageError, match="verbose is 'loud'"):
            clone(quiet).set_params(verbose="loud").fit(rows)
