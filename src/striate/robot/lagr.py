"""Hand-labeled frames of DARPA's LAGR program: one MATLAB file for each frame, with an image and a label per pixel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError, one_line

__all__ = ["LabeledFrame", "read_labeled_frame", "read_labeled_frames"]

_GROUND, _OBSTACLE = 1, 2
_MOST_VALUES = 16  # a label image has few different values


class LabeledFrame(NamedTuple):
    """An image whose pixels a person has labeled.

    Attributes
    ----------
    name : str
        Of the file, without ending.
    image : (1 or 3, height, width) float32 array
        0–1.
    obstacle : (height, width) int8 array
        1 where there is an obstacle, 0 where a robot could drive, −1 where nobody labeled.
    """

    name: str
    image: NDArray[np.float32]
    obstacle: NDArray[np.int8]


def read_labeled_frame(
    path: str | os.PathLike[str],
    *,
    image: str | None = None,
    label: str | None = None,
    ground: int = _GROUND,
    obstacle: int = _OBSTACLE,
) -> LabeledFrame:
    """Read a frame from a MATLAB file.

    Parameters
    ----------
    path : str or path
        A MATLAB file of a version before 7.3, with an image and a label per pixel as variables or fields of structures.
    image, label : str, optional
        Their names (``"frame.image"`` for a field). By default the image is the only array of the form (height, width,
        3) with the values of a picture, and the label the only array (height, width) of whole numbers, of at most 16
        different ones.
    ground, obstacle : int, default 1, 2
        The values of the label; all others count as not labeled.

    Returns
    -------
    LabeledFrame

    Raises
    ------
    UsageError
        If the file cannot be read, or has no such arrays, or several; the message lists what it has.
    """
    path = Path(path)
    name = one_line(str(path))
    arrays = dict(_arrays(_loaded(path, name)))
    pixels = _chosen(arrays, image, _is_image, "image", name)
    size = pixels.shape[:2]
    values = _chosen(
        arrays, label, lambda array: array.shape == size and _is_label(array) and array is not pixels, "label", name
    )
    if values.shape != size:
        raise UsageError(f"{name}: its label has the shape {values.shape}, its image {size}")
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    found = planes.transpose(2, 0, 1).astype(np.float32)
    if pixels.dtype.kind in "ui":
        found /= np.iinfo(pixels.dtype).max
    elif found.max(initial=0) > 1:
        found /= 255
    marked = np.full(size, -1, np.int8)
    marked[values == ground], marked[values == obstacle] = 0, 1
    if (marked < 0).all():
        raise UsageError(
            f"{name}: no pixel has the label {ground} (ground) or {obstacle} (obstacle): give their values"
        )
    return LabeledFrame(path.stem, found, marked)


def read_labeled_frames(folder: str | os.PathLike[str], **options: Any) -> Iterator[LabeledFrame]:
    """The frames of a folder's MATLAB files in the order of their names, read one at a time.

    Parameters
    ----------
    folder : str or path
    **options
        See `read_labeled_frame`.

    Raises
    ------
    UsageError
        If the folder has no files that end with .mat.
    """
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() == ".mat")
    if not paths:
        raise UsageError(f"{one_line(str(folder))}: has no MATLAB files (.mat), of which each is a labeled frame")
    return (read_labeled_frame(path, **options) for path in paths)


def _loaded(path: Path, name: str) -> Mapping[str, Any]:
    from scipy.io import loadmat

    try:
        with open(path, "rb") as file:
            found: Mapping[str, Any] = loadmat(file, struct_as_record=True)
    except FileNotFoundError:
        raise UsageError(f"{name}: does not exist") from None
    except NotImplementedError:
        raise UsageError(f'{name}: is of MATLAB 7.3; save it with save(..., "-v7")') from None
    except Exception:  # SciPy meets damaged files in many ways
        raise UsageError(f"{name}: is not a MATLAB file, or is damaged") from None
    return found


def _arrays(value: Any, prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """All numeric arrays, also those in fields of structures, by name."""
    for key in value if isinstance(value, Mapping) else value.dtype.names:
        if key.startswith("__"):
            continue
        array = np.asarray(value[key])
        while array.dtype == object and array.size == 1:  # MATLAB wraps what is in a structure or a cell
            array = np.asarray(array.reshape(-1)[0])
        if array.dtype.names and array.size == 1:
            yield from _arrays(array.reshape(-1)[0], f"{prefix}{key}.")
        elif array.dtype.kind in "buif":
            yield prefix + key, array


def _is_image(array: NDArray[Any]) -> bool:
    if array.ndim != 3 or array.shape[2] != 3 or min(array.shape[:2]) < 2 or array.dtype.kind not in "uf":
        return False
    return array.dtype.kind == "u" or bool(np.isfinite(array).all() and array.min() >= 0 and array.max() <= 255)


def _is_label(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        return False
    return len(np.unique(array)) <= _MOST_VALUES


def _chosen(arrays: Mapping[str, NDArray[Any]], name: str | None, fits: Any, what: str, file: str) -> NDArray[Any]:
    has = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "no arrays"
    if name is not None:
        if name not in arrays or arrays[name].ndim not in (2, 3):
            raise UsageError(f"{file}: has no {what} called {name}; it has {has}")
        return arrays[name]
    found = [array for array in arrays.values() if fits(array)]
    if len(found) != 1:
        count = "nothing" if not found else "several arrays"
        raise UsageError(f"{file}: has {count} with the form of its {what}; say which: it has {has}")
    return found[0]
