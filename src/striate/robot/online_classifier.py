"""A classifier that learns while driving: logistic regression on a buffer that keeps all classes in balance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Integer, Real, checked
from striate.recognition.softmax import cross_entropy, softmax
from striate.samples import as_samples, evenly_spread
from striate.stored import array, field

__all__ = ["ClassBuffer", "OnlineClassifier", "Update"]

_PARAMETERS = (
    "n_features", "n_classes", "per_class", "per_frame", "n_steps", "budget", "forgetting", "weight_decay"
)  # fmt: skip


class Update(NamedTuple):
    """What a frame has taught.

    Attributes
    ----------
    n_added : int
        Labeled samples of the frame.
    n_steps : int
        Steps that were taken; 0 with fewer than two classes, from which nothing can be learned.
    loss : float
        The objective after the last but one step; NaN without steps.
    """

    n_added: int
    n_steps: int
    loss: float


class ClassBuffer:
    """A ring of samples for each class: new samples replace the oldest ones of their own class.

    A class that is rare on the road is therefore not pushed out by one that fills every frame.

    Parameters
    ----------
    n_classes, n_features : int
    per_class : int
        The most samples of a class.
    per_frame : int, optional
        The most samples of a class that one frame adds; by default, as many as it has.

    Attributes
    ----------
    features : float32 (n_classes, per_class, n_features)
    frames : int64 (n_classes, per_class)
        The frame of each sample.
    counts : int64 (n_classes,)
        Samples held of each class.
    """

    def __init__(self, n_classes: int, n_features: int, per_class: int, per_frame: int | None = None) -> None:
        self.per_frame = min(per_class, per_frame or per_class)
        self.features = np.zeros((n_classes, per_class, n_features), np.float32)
        self.frames = np.zeros((n_classes, per_class), np.int64)
        self.counts = np.zeros(n_classes, np.int64)
        self.places = np.zeros(n_classes, np.int64)  # of the next sample

    def add(self, features: NDArray[np.float32], labels: NDArray[np.int64], frame: int) -> None:
        """Keep the samples of a frame; of more than may be added, a class keeps some, evenly spread over them."""
        per_class = self.features.shape[1]
        for label in range(len(self.counts)):
            rows = np.flatnonzero(labels == label)
            rows = rows[evenly_spread(len(rows), self.per_frame)]
            to = (self.places[label] + np.arange(len(rows))) % per_class
            self.features[label, to] = features[rows]
            self.frames[label, to] = frame
            self.places[label] = (self.places[label] + len(rows)) % per_class
            self.counts[label] = min(self.counts[label] + len(rows), per_class)

    def held(self) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Features, labels and frames of all samples, class by class."""
        parts = [(self.features[label, :n], self.frames[label, :n]) for label, n in enumerate(self.counts)]
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        return np.concatenate([one for one, _ in parts]), labels, np.concatenate([frames for _, frames in parts])


class OnlineClassifier:
    """Multinomial logistic regression that takes a few steps per frame, from where the last frame ended.

    It minimizes the mean cross-entropy over the samples of a `ClassBuffer`, all classes with the same total weight,
    plus ½·weight_decay·‖W‖². A step solves with Böhning's bound of the Hessian, ½·Σ w·x·xᵀ + weight_decay, which is
    factored once per frame: the objective never rises, and there is no learning rate. Features should have unit
    variance.

    Cost per frame with 100 features and full buffers of 5 × 1,000 samples: one Gram matrix (100 million flops) and per
    step two products of 5 million flops each, bound by memory.

    Parameters
    ----------
    n_features : int, default 100
    n_classes : int, default 5
    per_class : int, default 1000
        Samples of each class in the buffer.
    per_frame : int, default 100
        The most samples of a class that one frame adds. Without a limit, the ground of three frames would fill the
        buffer of its class, so that what was learned before would be lost: with it, the buffer spans ten frames.
    n_steps : int, default 10
        Steps per frame.
    budget : float, optional
        Milliseconds per frame, after which no further step begins; the talk's robot had 52. Results then depend on the
        speed of the machine. Without it the same frames give the same bits.
    forgetting : float, default 0.02
        Share of its weight that a sample loses with each frame. At 0.02 it has half its weight after 34 frames; 0
        forgets nothing but what the buffer has no place for.
    weight_decay : float, default 1e-2
        Neighboring windows are nearly the same, so that a frame tells less than its number of windows suggests.

    Attributes
    ----------
    buffer : ClassBuffer
    weights : float64 (n_classes, n_features + 1)
        The last column is the intercept.
    n_frames : int

    References
    ----------
    Hadsell et al., "Learning long-range vision for autonomous off-road driving", Journal of Field Robotics 26(2), 2009.
    Böhning, "Multinomial logistic regression algorithm", 1992, for the bound.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.robot import OnlineClassifier
    >>> classifier = OnlineClassifier(n_features=1, n_classes=2)
    >>> _ = classifier.update(np.array([[-1.0], [1.0]]), [0, 1])
    >>> bool(classifier.predict_proba(np.array([[2.0]]))[0, 1] > 0.6)
    True
    """

    def __init__(
        self,
        n_features: int = 100,
        n_classes: int = 5,
        *,
        per_class: int = 1000,
        per_frame: int = 100,
        n_steps: int = 10,
        budget: float | None = None,
        forgetting: float = 0.02,
        weight_decay: float = 1e-2,
    ) -> None:
        self.n_features = checked("n_features", n_features, Integer(low=1))
        self.n_classes = checked("n_classes", n_classes, Integer(low=2))
        self.per_class = checked("per_class", per_class, Integer(low=1))
        self.per_frame = checked("per_frame", per_frame, Integer(low=1))
        self.n_steps = checked("n_steps", n_steps, Integer(low=1))
        self.budget = checked("budget", budget, Real(above=0) | None)
        self.forgetting = checked("forgetting", forgetting, Real(low=0, below=1))
        self.weight_decay = checked("weight_decay", weight_decay, Real(above=0))
        self.buffer = ClassBuffer(self.n_classes, self.n_features, self.per_class, self.per_frame)
        self.weights = np.zeros((self.n_classes, self.n_features + 1))
        self.n_frames = 0

    @property
    def is_ready(self) -> bool:
        """Whether it has seen two classes; before, all classes are equally probable for it."""
        return int(np.count_nonzero(self.buffer.counts)) > 1

    def update(self, features: ArrayLike, labels: ArrayLike) -> Update:
        """Learn from a frame.

        Parameters
        ----------
        features : float (n_samples, n_features)
        labels : int (n_samples,)
            From 0; samples with −1 are left out.

        Raises
        ------
        UsageError
            For NaN, or labels that are none.
        """
        began = time.perf_counter()
        rows = as_samples(features, name="features", n_features=self.n_features)
        given = np.asarray(labels)
        if given.shape != (len(rows),) or (given.size and given.dtype.kind not in "iu"):
            raise UsageError(f"labels are integers, one for each of the {len(rows)} samples, not {given.shape}")
        if given.size and not -1 <= given.min() <= given.max() < self.n_classes:
            raise UsageError(
                f"labels go from {given.min()} to {given.max()}: they must be from 0 to {self.n_classes - 1}, or -1 "
                "for samples without one"
            )
        self.n_frames += 1
        self.buffer.add(rows.astype(np.float32), given.astype(np.int64), self.n_frames)
        n_added = int(np.count_nonzero(given >= 0))
        if not self.is_ready:
            return Update(n_added, 0, float("nan"))
        n_done, loss = self._steps(began)
        return Update(n_added, n_done, loss)

    def predict_proba(self, features: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of the classes, (n_samples, n_classes); 0 for classes that were never seen.

        As long as fewer than two classes were seen, all are equally probable: it knows nothing.
        """
        rows = as_samples(features, name="features", n_features=self.n_features)
        if not self.is_ready:
            return np.full((len(rows), self.n_classes), 1 / self.n_classes)
        seen = self.buffer.counts > 0
        found = np.zeros((len(rows), self.n_classes))
        found[:, seen] = softmax(rows @ self.weights[seen, :-1].T + self.weights[seen, -1])
        return found

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header, from which learning goes on to the same bits."""
        names = (*_PARAMETERS, "n_frames")
        held = self.buffer
        arrays = {"weights": self.weights, "features": held.features, "frames": held.frames, "counts": held.counts,
                  "places": held.places}  # fmt: skip
        return arrays, {name: getattr(self, name) for name in names}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        made = cls(**{name: field(header, name) for name in _PARAMETERS})
        made.n_frames = field(header, "n_frames", Integer(low=0))
        made.weights = np.array(array(arrays, "weights", made.weights.shape, "float64"))
        for name, kind in (("features", "float32"), ("frames", "int64"), ("counts", "int64"), ("places", "int64")):
            shape = getattr(made.buffer, name).shape
            setattr(made.buffer, name, np.array(array(arrays, name, shape, kind)))
        return made

    def _steps(self, began: float) -> tuple[int, float]:
        from scipy.linalg import cho_factor, cho_solve

        features, labels, frames = self.buffer.held()
        seen, labels = np.unique(labels, return_inverse=True)
        shares = (1 - self.forgetting) ** (self.n_frames - frames).astype(np.float64)
        totals = np.bincount(labels, shares)
        # What is so old that no weight is left counts with the least: a class that is seen is never without samples.
        shares = np.where(totals[labels] > 0, shares / np.where(totals > 0, totals, 1)[labels], 1e-300) / len(seen)
        x = np.ones((len(features), self.n_features + 1))
        x[:, :-1] = features
        decay = np.full(x.shape[1], self.weight_decay)
        decay[-1] = 1e-6  # of the intercept: the bound must be positive definite
        weighted = x * shares[:, np.newaxis]
        bound = 0.5 * (weighted.T @ x)
        bound[np.diag_indices_from(bound)] += decay
        factor = cho_factor(bound)
        weights, rows = self.weights[seen], np.arange(len(labels))
        n_done, loss = 0, float("nan")
        while n_done < self.n_steps:
            if n_done and self.budget is not None and 1e3 * (time.perf_counter() - began) >= self.budget:
                break
            logits = x @ weights.T
            loss = float(shares @ cross_entropy(logits, labels) + 0.5 * (decay * np.square(weights)).sum())
            slopes = softmax(logits)
            slopes[rows, labels] -= 1
            weights -= cho_solve(factor, weighted.T @ slopes + decay[:, np.newaxis] * weights.T).T
            n_done += 1
        self.weights[seen] = weights
        return n_done, loss
