"""Sparse coding of more signals than one machine reads quickly: every round is a map over shards and one sum.

With the dictionary D fixed, the codes z of a shard do not depend on other shards, and all that the next dictionary
needs of them are A = Σ zᵀz and B = Σ zᵀy (Mairal, Bach, Ponce, Sapiro, "Online learning for matrix factorization and
sparse coding", JMLR 2010). Each worker returns these sums, K² + Kp numbers however many signals a shard has; they are
added in a fixed order, and block-coordinate descent over the units follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate import threads
from striate.checkpoint import Checkpoint
from striate.coding.signal_file import open_rows
from striate.coding.transform import transform
from striate.distribute import map_shards, tree_sum
from striate.errors import UsageError
from striate.learning._dictionary_update import update_dictionary
from striate.learning._objective import HeldOutObjective
from striate.learning._rows import chunks
from striate.learning.online import stalled
from striate.learning.sparse_coding import SparseCoding
from striate.parameters import Integer, Real, check_parameters, checked
from striate.progress import Phase, Progress
from striate.samples import as_samples

__all__ = ["learn_from_shards"]

Shard = str | PathLike[str] | NDArray[Any]

_DEAD = 1e-4  # a unit that fewer signals use is replaced, as in `SparseCoding.fit`
_SPARE = 8  # signals with the largest errors that a shard offers for unused units
_NAME = "sparse-coding-shards"
_SWEEPS, _SETTLED = 30, 1e-4  # sweeps over the units end when the dictionary changes by less than this fraction


def learn_from_shards(
    learner: SparseCoding,
    shards: Sequence[Shard],
    *,
    n_rounds: int = 10,
    tolerance: float = 1e-3,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> SparseCoding:
    """Learn a dictionary from all signals of many files, in worker processes if there are any.

    A learner that is not fitted first learns online from the first shard, which finds most of the dictionary and, with
    ``sparsity="auto"``, the sparsity. Then every round codes all signals with the present dictionary and improves it;
    the mean objective of all signals falls from round to round. The bits do not depend on the number of workers
    (`striate.distribute.workers`), since each shard is computed with one thread, and sums are added in a fixed order.

    Parameters
    ----------
    learner : SparseCoding
        It is changed in place. A fitted one continues from its dictionary and sparsity.
    shards : sequence of paths or arrays (n_samples, n_features)
        ``.npy`` or ``.npz`` files, which the workers read themselves, or arrays, which are sent to them. Some 10,000
        to 100,000 signals each are read and coded in seconds; a worker holds 4,096 codes at a time.
    n_rounds : int, default 10
        Rounds at most. One round of the whole data costs as much as coding them; most of the gain is in the first few.
    tolerance : float, default 1e-3
        Learning ends when a round has lowered the objective by less than this fraction.
    checkpoint : Checkpoint, optional
        The state is saved after every round; a run that was ended repeats at most one round, with the same bits.
    progress : Progress, optional

    Returns
    -------
    SparseCoding
        The learner. Its `history_` has one more entry per round, over all signals, with the dictionary before the
        round; each round counts as a batch.

    Raises
    ------
    UsageError, StriateError
        If there is no shard, or one of them cannot be read or has another number of features: the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from striate import SparseCoding
    >>> from striate.learning import learn_from_shards
    >>> shards = np.random.default_rng(0).standard_normal((4, 500, 20))
    >>> learner = SparseCoding(n_components=30, active_fraction=0.1, max_batches=50, random_state=0)
    >>> learned = learn_from_shards(learner, list(shards), n_rounds=3)
    >>> objectives = [round_.objective for round_ in learned.history_[-3:]]
    >>> objectives[0] > objectives[1] > objectives[2]
    True
    """
    check_parameters(learner, learner._rules)
    n_rounds = checked("n_rounds", n_rounds, Integer(low=1))
    tolerance = checked("tolerance", tolerance, Real(low=0))
    shards = list(shards)
    if not shards:
        raise UsageError("there are no shards to learn from: give paths of .npy files, or arrays")
    progress = progress or Progress()
    saved = None if checkpoint is None else checkpoint.load(_NAME)
    n_done = 0
    if saved is not None:
        learner._restore(*saved)
        n_done = int(saved[1]["n_rounds"])
    elif hasattr(learner, "components_"):
        learner._own_arrays()
    else:
        with threads.limit(1):
            learner.fit(_signals(shards[0], None), progress=progress)
    with progress.phase("rounds over all shards", total=n_rounds * len(shards), unit="shards") as phase:
        phase.advance(n_done * len(shards))
        while n_done < n_rounds and not _has_converged(learner, n_done, tolerance):
            offered = _round(learner, shards, phase)
            n_done += 1
            if n_done < n_rounds:
                _replace_unused(learner, offered)
            if checkpoint is not None:
                arrays, header = learner.to_state(training=True)
                checkpoint.save(_NAME, arrays, header | {"n_rounds": n_done})
        phase.total = phase.done
    return learner


class _Coder(NamedTuple):
    """What a worker needs to know of a learner."""

    components: NDArray[Any]
    sparsity: float  # in the scale of the signals that are divided by 2**exponent
    exponent: int
    options: dict[str, Any]


class _Offered(NamedTuple):
    """Signals of a shard with large errors, the largest first."""

    errors: NDArray[np.float64]
    signals: NDArray[Any]


def _round(learner: SparseCoding, shards: Sequence[Shard], phase: Phase) -> list[_Offered]:
    """Code all signals, and improve the dictionary for these codes."""
    names = ("method", "positive", "l2", "max_nonzero", "refit")
    options = {name: getattr(learner, name) for name in names}
    coder = _Coder(learner.components_, learner._level, learner._exponent, options)
    offered: list[_Offered] = []

    def sums() -> Iterator[list[Any]]:
        for terms, worst in map_shards(partial(_statistics, coder), shards):
            offered.append(worst)
            phase.advance()
            yield terms

    code_products, signal_products, uses, n_signals, objective = tree_sum(sums())
    learner.usage_ = uses / n_signals
    found = HeldOutObjective(
        learner.n_batches_, objective / n_signals * 4.0**learner._exponent, float(learner.usage_.mean()),
        learner.sparsity_,
    )  # fmt: skip
    learner.history_.append(found)
    phase.note(learner._describe(found).replace("held-out", "mean"))
    units = learner.components_.astype(np.float64)
    for _ in range(_SWEEPS):
        before = units.copy()
        update_dictionary(units, code_products, signal_products, positive=learner.positive_components)
        if np.linalg.norm(units - before) <= _SETTLED * np.linalg.norm(units):
            break
    dtype = learner.components_.dtype
    learner.components_ = units.astype(dtype)
    learner._code_products, learner._signal_products = code_products.astype(dtype), signal_products.astype(dtype)
    learner._n_seen = float(n_signals)
    learner.n_batches_ += 1
    return offered


def _statistics(coder: _Coder, shard: Shard) -> tuple[list[Any], _Offered]:
    """The sums over a shard: A, B, how often each unit is used, the number of signals, the objective."""
    n_components, n_features = coder.components.shape
    products, with_signals = np.zeros((n_components, n_components)), np.zeros((n_components, n_features))
    uses, objective = np.zeros(n_components, np.int64), 0.0
    worst = _Offered(np.empty(0), np.empty((0, n_features), coder.components.dtype))
    rows = _signals(shard, n_features)
    with threads.limit(1):
        for some in chunks(len(rows)):
            signals = as_samples(rows[some], name=_name_of(shard)).astype(coder.components.dtype, copy=False)
            signals = np.ldexp(signals, -coder.exponent) if coder.exponent else signals
            codes = transform(signals, coder.components, coder.sparsity, **coder.options)
            products += codes.T @ codes
            with_signals += codes.T @ signals
            uses += np.count_nonzero(codes, axis=0)
            errors = np.square(signals - codes @ coder.components, dtype=np.float64).sum(axis=1)
            objective += 0.5 * float(errors.sum())
            if coder.options["max_nonzero"] is None:
                objective += coder.sparsity * float(np.abs(codes).sum(dtype=np.float64))
            worst = _worst(worst, errors, signals)
    objective += 0.5 * coder.options["l2"] * float(np.trace(products))
    return [products, with_signals, uses, len(rows), objective], worst


def _worst(before: _Offered, errors: NDArray[np.float64], signals: NDArray[Any]) -> _Offered:
    errors, signals = np.concatenate([before.errors, errors]), np.concatenate([before.signals, signals])
    first = np.argsort(-errors, kind="stable")[:_SPARE]
    return _Offered(errors[first], signals[first])


def _replace_unused(learner: SparseCoding, offered: Sequence[_Offered]) -> None:
    """Replace units that hardly any signal uses, by signals with large errors."""
    unused = np.flatnonzero(learner.usage_ < _DEAD)
    errors, signals = np.concatenate([one.errors for one in offered]), np.concatenate([one.signals for one in offered])
    rows = signals[np.argsort(-errors, kind="stable")[: unused.size]]
    rows = np.maximum(rows, 0) if learner.positive_components else rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    good = norms[:, 0] > 0
    unused = unused[: len(rows)][good]
    learner.components_[unused] = rows[good] / norms[good]
    learner.n_replaced_ += len(unused)


def _has_converged(learner: SparseCoding, n_rounds: int, tolerance: float) -> bool:
    return n_rounds > 1 and stalled([one.objective for one in learner.history_[-n_rounds:]], 1, tolerance)


def _signals(shard: Shard, n_features: int | None) -> NDArray[Any]:
    """The signals of a shard, as a memory map if it is a file."""
    rows = np.asarray(shard) if isinstance(shard, np.ndarray) else open_rows(Path(shard))
    if rows.ndim != 2 or n_features not in (None, rows.shape[1]):
        wanted = "one signal per row" if n_features is None else f"{n_features} numbers per signal, as the first shard"
        raise UsageError(f"{_name_of(shard)}: has shape {rows.shape}, and {wanted} is needed")
    return rows


def _name_of(shard: Shard) -> str:
    return "a shard" if isinstance(shard, np.ndarray) else str(shard)
