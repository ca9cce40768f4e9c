"""The content of a report, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.figures import AccuracyPoint
from striate.figures.mosaic import ColorSpace


@dataclass(frozen=True)
class StageFilters:
    """The filters of one stage, and statistics of their learning.

    Parameters
    ----------
    name : str
        For example "stage 1".
    kind : str
        The method of learning: "PSD", "random", …
    encoder : float (n_filters, channels, height, width)
    decoder : float (n_filters, channels, height, width), optional
    projected : float (n_filters, 1 or 3, height, width), optional
        The filters of a second stage in pixels, see `striate.figures.project_to_pixels`.
    energies : sequence of (batch, energy)
        Recorded during learning.
    active_fraction : float, optional
        Share of a code's components that are not zero.
    dead_units : int, optional
        Filters that were never active.
    """

    name: str
    kind: str
    encoder: NDArray[Any]
    decoder: NDArray[Any] | None = None
    projected: NDArray[Any] | None = None
    energies: Sequence[tuple[float, float]] = ()
    active_fraction: float | None = None
    dead_units: int | None = None


@dataclass(frozen=True)
class Reconstructions:
    """Patches (n, c, h, w), their codes (n, k), and reconstructions from the codes (n, c, h, w)."""

    patches: NDArray[Any]
    codes: NDArray[Any]
    reconstructions: NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """A held-out image and its prediction.

    Parameters
    ----------
    image : uint8 (height, width) or (height, width, 3)
        Images larger than 96 pixels are reduced in the report.
    true, predicted : str
        Class names.
    probability : float or None
        Probability of the predicted class.
    unknown : bool
        Whether the classifier called it unknown.
    name : str
        File name.
    """

    image: NDArray[np.uint8]
    true: str
    predicted: str
    probability: float | None = None
    unknown: bool = False
    name: str = ""


class PhaseLike(Protocol):
    """A finished phase, such as `striate.progress.PhaseRecord`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def items(self) -> int: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def peak_memory_bytes(self) -> int: ...  # noqa: D102


@dataclass
class ReportData:
    """Everything that a report may show. Sections without data are left out.

    Parameters
    ----------
    title : str
    command : str
        The shell command that repeats the run.
    accuracy, mean_class_accuracy : float, optional
        Accuracy on the held-out images, and the mean of the accuracies of the classes; fractions.
    accuracy_before : float, optional
        That of the unrefined system on the same images.
    n_classes, n_train, n_test, n_unlabeled : int, optional
        Number of classes; of labeled images that trained the classifier; of held-out images; of images without
        labels that the filters were learned from.
    model_path, model_bytes : str, int, optional
    reasons : list of str
        The choices of the preset and their reasons, one sentence per choice.
    notation : str
        The hierarchy in the papers' notation.
    architecture : list of dict
        As `striate.figures.draw_architecture` takes them.
    stages : list of StageFilters
    reconstructions : Reconstructions or (patches, codes, reconstructions), optional
    curve, pixel_curve, random_curve : list of points
        Each with ``n_labels``, ``mean`` and ``standard_error``.
    ablations : list
        Each with ``what``, ``accuracy`` and ``n_features``: the whole system first, then one component removed at a
        time.
    confusion : (int (n_classes, n_classes), sequence of str), optional
        Counts, true classes in rows, and the names of the classes.
    samples, mistakes : list of Sample
        Held-out images; those with a wrong prediction, the most confident first.
    unknown : dict, optional
        ``error_rate`` (the requested rate of false alarms) and ``false_alarm_rate`` (the measured one), optionally
        ``n_held_out`` (images that the threshold was set on) and ``auroc``.
    phases : list of records
        Each with ``name``, ``seconds``, ``items``, ``unit`` and ``peak_memory_bytes``.
    seconds, peak_memory_bytes : float, int, optional
        Duration and peak memory of the whole run.
    versions : dict of str to str
    seed, threads : int, optional
    skipped : list of (name, reason)
    per_class : dict of str to float
        Accuracy on each class.
    left_out : list of str
        What was left out besides skipped images, one sentence per entry.
    notes : list of str
        Further remarks, one sentence per entry.
    color : "rgb" or "yuv", default="rgb"
        The meaning of three channels in filters and patches.
    """

    title: str
    command: str
    accuracy: float | None = None
    mean_class_accuracy: float | None = None
    accuracy_before: float | None = None
    n_classes: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    n_unlabeled: int | None = None
    model_path: str | None = None
    model_bytes: int | None = None
    reasons: Sequence[str] = ()
    notation: str | None = None
    architecture: Sequence[Mapping[str, Any]] = ()
    stages: Sequence[StageFilters] = ()
    reconstructions: Reconstructions | tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None = None
    curve: Sequence[AccuracyPoint] = ()
    pixel_curve: Sequence[AccuracyPoint] = ()
    random_curve: Sequence[AccuracyPoint] = ()
    ablations: Sequence[Any] = ()
    confusion: tuple[NDArray[Any], Sequence[str]] | None = None
    samples: Sequence[Sample] = ()
    mistakes: Sequence[Sample] = ()
    unknown: Mapping[str, float] | None = None
    phases: Sequence[PhaseLike] = ()
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    threads: int | None = None
    skipped: Sequence[tuple[str, str]] = ()
    per_class: Mapping[str, float] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    notes: Sequence[str] = ()
    color: ColorSpace = "rgb"
