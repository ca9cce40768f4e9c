"""What a live session knows: features, a classifier on them, and the samples that it has still to learn."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answer", "Classifier", "Features", "HeldOut", "Knowledge", "Lesson"]


class Features(Protocol):
    """What computes the features of an image; see `features.LiveFeatures`."""

    def transform(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """(channels, height, width) float32 → (n_features,)."""
        ...

    def filters(self) -> NDArray[np.uint8]:
        """The filters of the first stage as one picture."""
        ...

    def maps(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """The maps of the first stage that answer to an image, as one picture."""
        ...

    def code_bars(self, features: NDArray[np.float32]) -> Sequence[float] | NDArray[Any]:
        """64 numbers of 0–1 that summarize features."""
        ...

    def learn(self, images: Sequence[NDArray[np.float32]]) -> Self:
        """Features of the same kind, learned from other images."""
        ...


class Answer(Protocol):
    """See `recognition.Answer`."""

    @property
    def label(self) -> str | None: ...  # noqa: D102
    @property
    def probabilities(self) -> Mapping[str, float]: ...  # noqa: D102
    @property
    def unknown(self) -> bool: ...  # noqa: D102


class HeldOut(Protocol):
    """See `recognition.HeldOut`."""

    @property
    def accuracy(self) -> float | None: ...  # noqa: D102
    @property
    def per_class(self) -> Mapping[str, float]: ...  # noqa: D102


class Classifier(Protocol):
    """See `recognition.IncrementalClassifier`."""

    def add_many(  # noqa: D102
        self,
        features: NDArray[np.float32],
        labels: Sequence[str],
        *,
        bursts: Sequence[int | None] | None = None,
        samples: Sequence[int] | None = None,
    ) -> list[int]: ...
    def remove(self, sample: int) -> None: ...  # noqa: D102
    def relabel(self, sample: int, label: str) -> None: ...  # noqa: D102
    def held_out(self) -> HeldOut: ...  # noqa: D102
    def predict(self, features: NDArray[np.float32]) -> Answer: ...  # noqa: D102


class Lesson(NamedTuple):
    """A sample as a classifier learns it."""

    sample: int
    features: NDArray[np.float32]
    label: str
    burst: int | None


class Knowledge:
    """A classifier on features, kept in step with the samples that there are.

    Parameters
    ----------
    features : Features
    classifier : Classifier
        Empty.

    Attributes
    ----------
    labels : dict of int to str
        The label of each sample that was learned.
    waiting : deque of int
        Samples that are still to be learned.
    version : int
        Counts changes of what was learned.
    """

    def __init__(self, features: Features, classifier: Classifier) -> None:
        self.features = features
        self.classifier = classifier
        self.labels: dict[int, str] = {}
        self.waiting: deque[int] = deque()
        self.version = 0
        self._unreadable: set[int] = set()

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Learn samples."""
        if not lessons:
            return
        samples, rows, labels, bursts = zip(*lessons, strict=True)
        self.classifier.add_many(np.stack(rows), labels, bursts=bursts, samples=samples)
        self.labels.update(zip(samples, labels, strict=True))
        self.version += 1

    def leave_out(self, sample: int) -> None:
        """Remember that a sample cannot be read."""
        self._unreadable.add(sample)

    def keep_in_step(self, wanted: Mapping[int, str]) -> None:
        """Forget samples that are gone, note new labels, and let samples that are new wait.

        Parameters
        ----------
        wanted : mapping of int to str
            The label of each sample that there is.
        """
        for sample in [sample for sample in self.labels if sample not in wanted]:
            self.classifier.remove(sample)
            del self.labels[sample]
            self.version += 1
        for sample, label in wanted.items():
            known = self.labels.get(sample)
            if known is not None and known != label:
                self.classifier.relabel(sample, label)
                self.labels[sample] = label
                self.version += 1
        # One of each class in turn, so that all classes are soon known a little.
        turns: Counter[str] = Counter()
        waiting = []
        for sample, label in wanted.items():
            if sample not in self.labels and sample not in self._unreadable:
                turns[label] += 1
                waiting.append((turns[label], sample))
        self.waiting = deque(sample for _, sample in sorted(waiting))
