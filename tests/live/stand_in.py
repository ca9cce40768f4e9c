"""A learner to test the server with: means of pixels, and the class of the nearest mean."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.recognition import EVERYTHING_ELSE

SIDE = 8


class PixelFeatures:
    """The image in 8×8 boxes of color."""

    def __init__(self, n_learned: int = 0) -> None:
        self.n_learned = n_learned

    def transform(self, image: NDArray[Any]) -> NDArray[np.float32]:
        rows, columns = (np.linspace(0, size, SIDE + 1).astype(int) for size in image.shape[1:])
        boxes = [
            image[:, top:bottom, left:right].mean((1, 2))
            for top, bottom in itertools.pairwise(rows)
            for left, right in itertools.pairwise(columns)
        ]
        return np.concatenate(boxes).astype(np.float32)

    def filters(self) -> NDArray[np.uint8]:
        return np.arange(64, dtype=np.uint8).reshape(8, 8)

    def maps(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        return np.rint(255 * image.mean(0)).astype(np.uint8)

    def code_bars(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return features[:64]

    def learn(self, images: Sequence[NDArray[np.float32]]) -> PixelFeatures:
        return PixelFeatures(len(images))


class Answer(NamedTuple):
    label: str | None
    probabilities: dict[str, float]
    unknown: bool
    novelty: float = 0.0


class HeldOut(NamedTuple):
    accuracy: float | None
    per_class: Mapping[str, float]


class NearestMean:
    """The class whose mean is nearest; unknown if none is near."""

    def __init__(self, radius: float = 2.0) -> None:
        self.radius = radius
        self.samples: dict[int, tuple[NDArray[np.float32], str]] = {}

    def add_many(
        self,
        features: NDArray[np.float32],
        labels: Sequence[str],
        *,
        bursts: Sequence[int | None] | None = None,
        samples: Sequence[int] | None = None,
    ) -> list[int]:
        numbers = list(range(len(labels))) if samples is None else list(samples)
        assert not self.samples.keys() & set(numbers)
        self.samples.update(zip(numbers, zip(features, labels, strict=True), strict=True))
        return numbers

    def remove(self, sample: int) -> None:
        del self.samples[sample]

    def relabel(self, sample: int, label: str) -> None:
        self.samples[sample] = self.samples[sample][0], label

    def held_out(self) -> HeldOut:
        labels = {label for _, label in self.samples.values()} - {EVERYTHING_ELSE}
        return HeldOut(1.0 if len(labels) > 1 else None, dict.fromkeys(labels, 1.0))

    def predict(self, features: NDArray[np.float32]) -> Answer:
        rows: dict[str, list[NDArray[np.float32]]] = {}
        for row, label in self.samples.values():
            rows.setdefault(label, []).append(row)
        distances = {label: float(np.linalg.norm(np.mean(own, 0) - features)) for label, own in rows.items()}
        weights = {label: float(np.exp(-distance)) for label, distance in distances.items()}
        probabilities = {label: weight / sum(weights.values()) for label, weight in weights.items()}
        best = min(distances, key=distances.__getitem__)
        unknown = distances[best] > self.radius or best == EVERYTHING_ELSE
        return Answer(None if unknown else best, probabilities, unknown)
