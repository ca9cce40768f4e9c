"""A classifier that learns one sample at a time and forgets it again, exactly.

It keeps the samples and the inner products of all pairs. A new sample adds a row of products; everything else, which
is a few small matrices, is computed again from the products when it is next asked for: least squares with one-hot
targets, the scores of each sample by the others (`striate.recognition.least_squares`), the
temperature and the threshold of "unknown" that follow from them. The state is a function of the samples in the order
of their numbers, and products depend on their two samples alone. Adding, relabeling and removing are therefore exact:
a sample that was removed leaves no trace, not even in the last bit.

**Bursts.** Successive frames of a camera are nearly the same. Left out one by one, each is recognized by its neighbors,
and an object that was seen from one side seems to be recognized perfectly. Samples with the same `burst`, such as those
of one key press, are therefore held out together. Where all samples of a class are of one burst, its first and second
half are held out in turn, which is better than nothing, but optimistic.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.recognition._incremental_fit import Fit, fit_products, groups_of, novelty_of
from striate.recognition._inner_products import inner_products
from striate.recognition.softmax import softmax
from striate.samples import as_samples, check_finite

__all__ = ["EVERYTHING_ELSE", "Answer", "HeldOut", "IncrementalClassifier"]

EVERYTHING_ELSE = ""
"""The label of samples that belong to no class: what is seen while nothing is shown."""

_ADDED_TOGETHER = 64  # rows whose products are computed at once
_FIRST_CAPACITY = 64


class Answer(NamedTuple):
    """What a classifier says about one sample.

    Attributes
    ----------
    label : str or None
        The most probable class; None where the sample is unknown.
    probabilities : dict of str to float
        Calibrated, of all classes and of `EVERYTHING_ELSE` where it has samples, the most probable first.
    unknown : bool
        Whether the sample is stranger than nearly all samples when these were held out, or resembles
        `EVERYTHING_ELSE` most.
    novelty : float
        How little it resembles its most probable class, in units of the threshold of "unknown": above 1 it is unknown.
        0 where there is no threshold.
    """

    label: str | None
    probabilities: dict[str, float]
    unknown: bool
    novelty: float


class HeldOut(NamedTuple):
    """How well samples are recognized by the others.

    Attributes
    ----------
    accuracy : float or None
        The mean over the classes; None if no class can be judged.
    per_class : dict of str to float
        The fraction of its samples that are recognized, of each class with at least two samples.
    """

    accuracy: float | None
    per_class: dict[str, float]


class IncrementalClassifier:
    """Exact least squares on inner products, from any number of samples, to which others are added one by one.

    It is for one thread at a time. Memory is 4 bytes per feature and sample, and 8 per pair of samples.

    Parameters
    ----------
    unknown : float or None
        Allowed rate of samples of the classes that are wrongly called unknown. The threshold is that of conformal
        prediction on samples that are held out. None: only what resembles `EVERYTHING_ELSE` most is unknown.

    Attributes
    ----------
    n_samples : int
    classes : tuple of str
        Those with at least one sample, in the order of their first samples, without `EVERYTHING_ELSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.recognition import IncrementalClassifier
    >>> classifier = IncrementalClassifier()
    >>> cup = classifier.add(np.array([1.0, 0.0], np.float32), "cup")
    >>> _ = classifier.add(np.array([0.0, 1.0], np.float32), "key")
    >>> classifier.predict(np.array([0.9, 0.2], np.float32)).label
    'cup'
    >>> classifier.remove(cup)
    >>> classifier.classes
    ('key',)
    """

    def __init__(self, *, unknown: float | None = 0.05) -> None:
        rule = Real(above=0, below=1) | None
        self.unknown: float | None = checked("unknown, the rate of false alarms,", unknown, rule)
        self._numbers: list[int] = []  # ascending
        self._slots: list[int] = []  # the row of each
        self._labels: dict[int, str] = {}
        self._bursts: dict[int, int | None] = {}
        self._free: list[int] = []
        self._next = 0
        self._rows = np.empty((0, 0), np.float32)
        self._products = np.empty((0, 0))
        self._fit: _Fitted | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples, those of `EVERYTHING_ELSE` included."""
        return len(self._numbers)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes with at least one sample, in the order of their first samples."""
        found = dict.fromkeys(self._labels[number] for number in self._numbers)
        return tuple(label for label in found if label != EVERYTHING_ELSE)

    @property
    def samples(self) -> tuple[int, ...]:
        """Numbers of the samples, ascending."""
        return tuple(self._numbers)

    def add(
        self, features: NDArray[np.float32], label: str, *, burst: int | None = None, sample: int | None = None
    ) -> int:
        """Add a sample.

        Parameters
        ----------
        features : float32 (n_features,)
        label : str
            Its class, or `EVERYTHING_ELSE`.
        burst : int, optional
            Samples of one class with the same number were taken together, such as during one key press, and are held
            out together. By default, each sample is held out alone.
        sample : int, optional
            The number of a sample that was removed, which takes its place again. By default, the next one.

        Returns
        -------
        sample : int
            Its number. Numbers ascend and are never given twice.
        """
        rows = np.asarray(features)
        if rows.ndim != 1:
            raise UsageError(f"features of one sample have one axis, not shape {rows.shape}; use add_many for several")
        return self.add_many(rows[None], [label], bursts=[burst], samples=None if sample is None else [sample])[0]

    def add_many(
        self,
        features: NDArray[np.float32],
        labels: Sequence[str],
        *,
        bursts: Sequence[int | None] | None = None,
        samples: Sequence[int] | None = None,
    ) -> list[int]:
        """Add several samples; the result is that of adding them one by one.

        Parameters
        ----------
        features : float32 (n, n_features)
        labels, bursts, samples : sequences (n,)
            As for `add`.

        Returns
        -------
        samples : list of int
        """
        rows = self._checked_rows(features)
        bursts = [None] * len(rows) if bursts is None else bursts
        numbers = list(range(self._next, self._next + len(rows))) if samples is None else [int(n) for n in samples]
        if not len(labels) == len(bursts) == len(numbers) == len(rows):
            raise UsageError(
                f"{len(rows)} samples need as many labels, bursts and numbers, not {len(labels)}, {len(bursts)} and "
                f"{len(numbers)}"
            )
        for label in labels:
            _check_label(label)
        if (
            len(set(numbers)) < len(numbers)
            or min(numbers, default=0) < 0
            or not self._labels.keys().isdisjoint(numbers)
        ):
            raise UsageError("numbers of samples must be at least 0, and no two samples can have the same")
        self._reserve(len(rows), rows.shape[1])
        for start in range(0, len(rows), _ADDED_TOGETHER):
            part = slice(start, start + _ADDED_TOGETHER)
            self._store(rows[part], numbers[part])
        self._labels |= zip(numbers, labels, strict=True)
        self._bursts |= zip(numbers, bursts, strict=True)
        self._next = max(self._next, max(numbers, default=-1) + 1)
        self._fit = None
        return numbers

    def remove(self, sample: int) -> None:
        """Remove a sample: everything is then as if it had never been there."""
        place = self._place(sample)
        del self._numbers[place], self._labels[sample], self._bursts[sample]
        self._free.append(self._slots.pop(place))
        self._fit = None

    def relabel(self, sample: int, label: str) -> None:
        """Move a sample to another class."""
        self._place(sample)
        _check_label(label)
        self._labels[sample] = label
        self._fit = None

    def features_of(self, sample: int) -> NDArray[np.float32]:
        """A copy of the features of a sample, float32 (n_features,)."""
        features: NDArray[np.float32] = self._rows[self._slots[self._place(sample)]].copy()
        return features

    def label_of(self, sample: int) -> str:
        """The label of a sample."""
        self._place(sample)
        return self._labels[sample]

    def held_out(self) -> HeldOut:
        """How well samples are recognized by the others, exactly, without a second fit.

        Where bursts are given, these are held out together; otherwise the samples one by one.
        """
        per_class: dict[str, float] = {}
        if self._numbers:
            _, classes, fit = self._fitted()
            for index, label in enumerate(classes):
                judged = fit.judged & (fit.codes == index)
                if label != EVERYTHING_ELSE and judged.any():
                    per_class[label] = float(np.mean(fit.held_out[judged].argmax(axis=1) == index))
        return HeldOut(float(np.mean(list(per_class.values()))) if per_class else None, per_class)

    def predict(self, features: NDArray[np.float32]) -> Answer:
        """The class of a sample, with probabilities, or that it is unknown.

        Parameters
        ----------
        features : float32 (n_features,)
        """
        if not self._numbers:
            return Answer(None, {}, True, math.inf)
        row = self._checked_rows(np.asarray(features)[None])
        slots, classes, fit = self._fitted()
        products = inner_products(row, self._rows[: self._n_used])[0, slots]
        scores = products @ fit.coefficients[:-1] + fit.coefficients[-1]
        chances = softmax(scores[None] / fit.temperature)[0]
        best = int(scores.argmax())
        square = float(inner_products(row, row)[0, 0])
        distance = (square + fit.squares - 2 * products)[fit.codes == best].min()
        novelty = float(novelty_of(distance, fit.scales[best], scores[best]) / fit.threshold)
        is_unknown = classes[best] == EVERYTHING_ELSE or novelty > 1
        order = np.argsort(-chances, kind="stable")
        return Answer(
            None if is_unknown else classes[best],
            {classes[index]: float(chances[index]) for index in order},
            is_unknown,
            novelty,
        )

    @property
    def _n_used(self) -> int:
        return len(self._numbers) + len(self._free)

    def _place(self, sample: int) -> int:
        place = bisect_left(self._numbers, sample)
        if place == len(self._numbers) or self._numbers[place] != sample:
            raise UsageError(f"there is no sample {sample!r}")
        return place

    def _checked_rows(self, features: NDArray) -> NDArray[np.float32]:
        n_features = self._rows.shape[1] if self._numbers else None
        rows = as_samples(features, name="features", n_features=n_features)
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32, copy=False)
        check_finite(rows, "features")
        return rows

    def _reserve(self, n_more: int, n_features: int) -> None:
        """Make room for rows and their products."""
        if not self._numbers:  # other features may come
            self._free.clear()
            self._rows = np.empty((0, n_features), np.float32)
            self._products = np.empty((0, 0))
        needed, capacity = self._n_used + n_more, len(self._rows)
        if needed <= capacity:
            return
        larger = max(needed, 2 * capacity, _FIRST_CAPACITY)
        rows, products = np.zeros((larger, n_features), np.float32), np.zeros((larger, larger))
        rows[:capacity], products[:capacity, :capacity] = self._rows, self._products
        self._rows, self._products = rows, products

    def _store(self, rows: NDArray[np.float32], numbers: Sequence[int]) -> None:
        """Put rows where there is room, and compute their products with all that are there."""
        slots = [self._free.pop() if self._free else len(self._numbers) + k for k in range(len(rows))]
        self._rows[slots] = rows
        for number, slot in zip(numbers, slots, strict=True):
            place = bisect_left(self._numbers, number)
            self._numbers.insert(place, number)
            self._slots.insert(place, slot)
        n = self._n_used
        found = inner_products(rows, self._rows[:n])
        self._products[slots, :n] = found
        self._products[:n, slots] = found.T

    def _fitted(self) -> _Fitted:
        if self._fit is None:
            labels = [self._labels[number] for number in self._numbers]
            classes = tuple(dict.fromkeys(labels))
            place = {label: index for index, label in enumerate(classes)}
            slots = np.array(self._slots, np.int64)
            fit = fit_products(
                self._products[np.ix_(slots, slots)],
                np.array([place[label] for label in labels], np.int64),
                groups_of(labels, [self._bursts[number] for number in self._numbers]),
                np.array([label != EVERYTHING_ELSE for label in classes]),
                self.unknown,
            )
            self._fit = _Fitted(slots, classes, fit)
        return self._fit


class _Fitted(NamedTuple):
    slots: NDArray[np.int64]  # rows of the samples
    classes: tuple[str, ...]
    fit: Fit


def _check_label(label: object) -> None:
    if not isinstance(label, str):
        raise UsageError(f"a label is text, not {label!r}")
