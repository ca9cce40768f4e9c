"""Labels of any type: classes keep the type of the labels, and are compared as text between sources."""

from __future__ import annotations

import numbers
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import ImageCollection
from striate.images.names import printable

__all__ = [
    "AsGiven",
    "check_classes",
    "check_targets",
    "class_names",
    "label_array",
    "labels_of",
    "lost_classes",
    "name_of",
]


def label_array(labels: Any, *, n_samples: int | None = None, samples: str = "samples") -> NDArray[Any]:
    """One label for each sample, in an array of the labels' own type.

    Parameters
    ----------
    labels : array-like (n_samples,)
        Strings, integers, booleans, or floats that are whole numbers; all of one kind. A column of a data frame is
        accepted, also a categorical one, which has the type of its categories.
    n_samples : int, optional
        The required number of labels.
    samples : str
        Name of the samples in messages.

    Returns
    -------
    ndarray (n_samples,)
        Of the type of `labels`; an array of objects is kept if all are strings.

    Raises
    ------
    UsageError
        For labels that are missing (None, NaN), of several kinds, of a kind that names no class, or not one for each
        sample.
    """
    if labels is None:
        raise UsageError("labels y are None: y should be a 1d array, with one label for each sample")
    if isinstance(labels, str | bytes) or not (hasattr(labels, "__len__") or hasattr(labels, "__array__")):
        raise UsageError(f"labels y should be a 1d array, with one label for each sample, not {type(labels).__name__}")
    array = _as_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        from sklearn.utils.validation import column_or_1d

        array = column_or_1d(array, warn=True)
    if array.ndim != 1:
        raise UsageError(f"labels y should be a 1d array, with one label for each sample, not of shape {array.shape}")
    if n_samples is not None and len(array) != n_samples:
        raise UsageError(f"there are {n_samples} {samples} and {len(array)} labels of them; give one label for each")
    if array.dtype.kind not in "biufUO":
        raise UsageError(f"labels y are of type {array.dtype}; they must be strings, integers or truth values")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = int(np.argmin(np.isfinite(array)))
        raise UsageError(f"label {where} is {array[where]}: Input y contains NaN or infinity; leave that sample out")
    return array


def class_names(classes: NDArray[Any]) -> list[str]:
    """Classes as text, as in a collection of images."""
    return [name_of(value) for value in classes]


def name_of(label: Any) -> str:
    """A label as text: whole numbers without a point, accents composed (Unicode's NFC)."""
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return unicodedata.normalize("NFC", str(label))


def labels_of(images: ImageCollection) -> NDArray[Any]:
    """Labels of the images that have one; raises UsageError if none has."""
    labels = [label for label in images.labels or () if label != ""]
    if not labels:
        raise UsageError("these images have no labels: put each class into a sub-folder of its name, or give a CSV.")
    return np.asarray(labels)


def lost_classes(images: ImageCollection, readable: ImageCollection) -> list[str]:
    """One sentence for each class without a readable training image: the model does not learn it.

    Parameters
    ----------
    images : ImageCollection
        All training images.
    readable : ImageCollection
        The training images that could be read.

    Raises
    ------
    UsageError
        If fewer than two classes are left.
    """
    counts = Counter(images.labels or [])
    left = set(readable.labels or [])
    lost = [name for name in images.classes if name not in left]
    notes = [
        f"class {printable(name)}: none of its {counts[name]} training images can be read; the model does not know it"
        for name in lost
    ]
    if lost and len(left) < 2:
        raise UsageError(f"{notes[0]}, and a classifier needs at least two classes")
    return notes


def check_classes(labels: NDArray[Any], *, at_least: int = 2) -> None:
    """Raise UsageError if a classifier cannot be trained: fewer than two classes, or a class with too few images."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise UsageError(
            f"all {len(labels)} labeled images belong to one class ({', '.join(map(str, classes)) or 'none'}): "
            "a classifier needs at least two, one sub-folder each; where data are sorted by class, as those of "
            "load_mnist_digits() are, shuffle them or take every tenth rather than the first."
        )
    if counts.min() < at_least:
        lonely = classes[counts.argmin()]
        raise UsageError(
            f"class {str(lonely)!r} has one readable image: "
            "give at least two (one to learn from, one to check with), or leave the class out."
        )


class AsGiven:
    """Maps the class names of a collection to the labels as they were given.

    Parameters
    ----------
    labels : sequence (n,) or None
        The labels as given; None, NaN and "" stand for no label. If `labels` is None, the names are the labels.
    names : sequence of str (n,)
        The same labels as class names of a collection, ``""`` for no label.

    Notes
    -----
    Names that differ only in how Unicode encodes accents (composed or decomposed) are one class, with the composed
    name. If numbers and text are mixed, classes are text.
    """

    def __init__(self, labels: Any, names: Sequence[str]) -> None:
        present = [name != "" for name in names]
        keys = [name_of(name) for name in names if name != ""]
        values: NDArray[Any] = np.asarray([name for name in names if name != ""])
        if labels is not None:
            of_images = np.asarray(labels)[present] if hasattr(labels, "dtype") else list(compress(labels, present))
            with suppress(UsageError):
                values = label_array(of_images)
        self._dtype = values.dtype if values.dtype.kind == "O" else None
        self._spelled: dict[str, Any] = {}
        for key, value in zip(keys, values, strict=True):
            differs = key in self._spelled and self._spelled[key] != value
            self._spelled[key] = key if differs and isinstance(value, str) else value

    def __call__(self, names: Sequence[str]) -> NDArray[Any]:
        """The labels of images whose classes have these names."""
        return np.array([self._spelled[name_of(name)] for name in names], self._dtype)


def check_targets(labels: NDArray[Any]) -> None:
    """Raise an error for labels that scikit-learn treats as a regression target."""
    from sklearn.utils.multiclass import check_classification_targets

    with warnings.catch_warnings():  # one sample per class is a valid classification problem here
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise UsageError(str(error)) from None


def _as_array(labels: Any) -> NDArray[Any]:
    if np.ma.isMaskedArray(labels) and np.ma.is_masked(labels):
        raise UsageError("labels y have masked values; leave those samples out")
    if not hasattr(labels, "__array__"):
        labels = list(labels)
        _kind_of_all(labels)  # NumPy would silently turn mixed numbers and text into text
    try:
        array = np.asarray(labels)
    except ValueError:
        raise UsageError("labels y should be a 1d array, with one label for each sample") from None
    if array.dtype.kind == "O" and array.ndim == 1:
        values = array.tolist()
        return array if _kind_of_all(values) is str else np.asarray(values)
    return array


def _kind_of_all(values: list[Any]) -> type | None:
    """The kind of all labels: str, bool or float; raises UsageError for missing labels and mixed kinds."""
    kinds: dict[type, Any] = {}
    for number, value in enumerate(values):
        if isinstance(value, str):
            kinds[str] = value
        elif isinstance(value, bool | np.bool_):
            kinds[bool] = value
        elif isinstance(value, numbers.Real):
            kinds[float] = value
        elif value is None or type(value).__name__ in ("NAType", "NaTType"):
            raise UsageError(f"label {number} is {value}: Input y contains NaN; leave that sample out")
        elif isinstance(value, np.ndarray | list | tuple):
            return None  # of another shape, which is checked elsewhere
        else:
            raise UsageError(
                f"Unknown label type: label {number} is {value!r}; labels must be strings, integers or truth values"
            )
    if len(kinds) > 1:
        some = " and ".join(repr(value) for value in kinds.values())
        raise UsageError(f"labels y are of several kinds, such as {some}; give all as strings, or all as numbers")
    return next(iter(kinds), None)
