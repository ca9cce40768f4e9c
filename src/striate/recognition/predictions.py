"""Predictions for images: classes, probabilities and whether an image is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from striate.recognition.labels import class_names

__all__ = ["Prediction", "Predictions"]


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes
    ----------
    name : str
        The path of the image, or the name of its array and its number.
    label : str
        The most probable class, also if the image is unknown.
    probability : float
        The calibrated probability of that class.
    top : tuple of (str, float)
        The most probable classes and their probabilities, the best first.
    unknown : bool
        Whether the image resembles no class; always False for a classifier without ``unknown``.
    """

    name: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    unknown: bool


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """A sequence of `Prediction`, with the same content as arrays.

    Attributes
    ----------
    names : list of str (n,)
        Names of the images.
    classes : (n_classes,)
        The classifier's classes.
    probabilities : float32 (n, n_classes)
        Calibrated probabilities, in the order of `classes`.
    unknown : bool (n,)
        Which images resemble no class.
    n_top : int
        Number of classes in `Prediction.top`.
    """

    names: list[str]
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    n_top: int = 5

    @classmethod
    def joined(cls, parts: Iterable[Predictions]) -> Predictions:
        """Concatenate predictions of one classifier; there must be at least one part."""
        several = list(parts)
        return cls(
            [name for one in several for name in one.names],
            several[0].classes,
            np.concatenate([one.probabilities for one in several]),
            np.concatenate([one.unknown for one in several]),
            several[0].n_top,
        )

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self.probabilities, axis=1, kind="stable")[:, : self.n_top]

    @cached_property
    def _class_names(self) -> list[str]:
        return class_names(self.classes)

    @property
    def labels(self) -> NDArray[Any]:
        """The most probable class of each image, of the type of `classes`, (n,)."""
        return self.classes[self._order[:, 0]]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> list[Prediction]: ...

    def __getitem__(self, index: int | slice) -> Prediction | list[Prediction]:
        if isinstance(index, slice):
            return [self[k] for k in range(len(self))[index]]
        names, row = self._class_names, self.probabilities[index]
        top = tuple((names[k], float(row[k])) for k in self._order[index])
        return Prediction(self.names[index], top[0][0], top[0][1], top, bool(self.unknown[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
