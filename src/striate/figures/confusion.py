"""The confusion matrix, and the pairs of classes that are confused most often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.figures.svg import INK, LINE, new_figure, quiet_axes
from striate.parameters import Integer, checked
from striate.samples import as_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With more classes, numbers and names do not fit: the matrix becomes an image, and the list of pairs has the names.
_MOST_NAMED = 24
# An image cannot follow the page's colors: these are visible on light and on dark pages.
_RIGHT, _WRONG = "#6f93b3", "#d5602c"


class ConfusedPair(NamedTuple):
    """One class that was taken for another."""

    true: str
    predicted: str
    times: int
    share: float  # times / number of images of the true class


def confused_pairs(matrix: ArrayLike, classes: Sequence[str], *, at_most: int = 10) -> list[ConfusedPair]:
    """The most frequent confusions, the largest share of the true class first.

    Parameters
    ----------
    matrix : int (n_classes, n_classes)
        Counts, true classes in rows.
    classes : sequence of str
    at_most : int, default=10

    Returns
    -------
    list of ConfusedPair
        Without pairs that never occurred.
    """
    at_most = checked("at_most", at_most, Integer(low=0))
    counts, shares = _checked(matrix, classes)
    wrong = np.argwhere((counts > 0) & ~np.eye(len(counts), dtype=bool))
    pairs = [
        ConfusedPair(str(classes[true]), str(classes[predicted]), int(counts[true, predicted]),
                     float(shares[true, predicted]))
        for true, predicted in wrong
    ]  # fmt: skip
    return sorted(pairs, key=lambda pair: (-pair.share, -pair.times, pair.true, pair.predicted))[:at_most]


def draw_confusion(matrix: ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are true classes, columns predictions, shade the share of the row.

    Right answers and mistakes have different colors, so that the diagonal does not hide the mistakes. The shade of a
    mistake is the square root of its share, so that one in a hundred is still visible.

    Parameters
    ----------
    matrix : int (n_classes, n_classes)
        Counts; true classes in rows.
    classes : sequence of str
        Up to 24 classes are drawn with names and counts, more as an image without them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.colors import to_rgb

    counts, shares = _checked(matrix, classes)
    n = len(counts)
    figure = new_figure(5.2, 5.2)
    axes = figure.subplots()
    quiet_axes(axes, grid=False)
    diagonal = np.eye(n, dtype=bool)
    # Shades are made by transparency, so that one drawing suits light and dark pages.
    cells = np.empty((n, n, 4))
    cells[..., :3] = np.where(diagonal[..., None], to_rgb(_RIGHT), to_rgb(_WRONG))
    cells[..., 3] = np.where(diagonal, 0.7 * shares, np.where(counts > 0, 0.15 + 0.8 * np.sqrt(shares), 0.0))
    axes.imshow(cells, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LINE)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if n > _MOST_NAMED:
        axes.set_xticks([])
        axes.set_yticks([])
        return figure
    names = [_short(str(name)) for name in classes]
    upright = max(map(len, names)) <= max(2, 36 // n)
    size = 10 if n <= 12 else 7
    axes.set_xticks(range(n), names, rotation=0 if upright else 90, fontsize=size, parse_math=False)
    axes.set_yticks(range(n), names, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    for true, predicted in np.argwhere(counts > 0):
        axes.text(
            predicted, true, f"{counts[true, predicted]}", ha="center", va="center",
            fontsize=size - 1, color=INK,
        )  # fmt: skip
    return figure


def _checked(matrix: ArrayLike, classes: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The counts, and each row as shares of its class, zero for a class without images."""
    given = as_array(matrix, name="counts", axes=("n_classes", "n_classes"))
    if isinstance(classes, str) or not hasattr(classes, "__len__"):
        raise UsageError(f"classes are {classes!r}; give a sequence with the name of each class")
    if given.shape != (len(classes), len(classes)) or not len(classes):
        raise UsageError(f"a confusion matrix of shape {given.shape} does not fit {len(classes)} classes.")
    counts = given.astype(np.int64)
    if (counts != given).any() or counts.min() < 0:
        raise UsageError("a confusion matrix holds numbers of images, integers of at least 0.")
    return counts, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _short(name: str, length: int = 14) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
