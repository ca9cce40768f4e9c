"""Points from the user's file: two columns of numbers in a `.npy` file or a CSV."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from striate.errors import UsageError
from striate.images.names import printable

__all__ = ["read_points"]


def read_points(path: str | os.PathLike[str]) -> np.ndarray:
    """Points of the plane from a file.

    Parameters
    ----------
    path : str or path
        ``.npy`` with an array (n_points, 2), never unpickled; anything else is read as CSV with two columns, after
        a line of names if its first line holds no numbers.

    Returns
    -------
    float64 (n_points, 2)

    Raises
    ------
    UsageError
        When there is no such file, or it does not hold two finite numbers per row.
    """
    path, shown = Path(path), printable(path)
    try:
        points = _from_npy(path) if path.suffix.lower() == ".npy" else _from_csv(path, shown)
    except UsageError:
        raise
    except FileNotFoundError:
        raise UsageError(f"{shown}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError) as error:  # an invalid header, Python objects, bytes that are not text
        reason = " ".join(str(error).split())
        raise UsageError(f"{shown}: is cut off, damaged or not of its kind ({reason}); save plain numbers") from None
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "fiub" or not len(points):
        raise UsageError(f"{shown}: holds {points.dtype} of shape {points.shape}; save numbers of shape (n_points, 2)")
    points = points.astype(np.float64)
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0]) + 1
        raise UsageError(f"{shown}: point {row} holds NaN or infinity; leave such rows out")
    return points


def _from_npy(path: Path) -> np.ndarray:
    loaded: np.ndarray = np.load(path, allow_pickle=False)
    return loaded


def _from_csv(path: Path, shown: str) -> np.ndarray:
    points = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{shown}, line {rows.line_num}"
            if len(row) != 2:
                raise UsageError(f"{where}: has {len(row)} columns; give two, x and y")
            try:
                points.append((float(row[0]), float(row[1])))
            except ValueError:
                if rows.line_num > 1:
                    raise UsageError(f"{where}: {row[0]!r}, {row[1]!r} are not two numbers; give x,y") from None
    if not points:
        raise UsageError(f"{shown}: holds no points; give x,y, one row a point")
    return np.array(points)
