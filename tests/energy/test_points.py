from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.energy import read_points
from striate.errors import UsageError


def test_npy_and_csv(tmp_path: Path) -> None:
    points = np.array([[1.0, 2.0], [3.5, -4.0]])
    np.save(tmp_path / "a.npy", points.astype(np.float32))
    (tmp_path / "b.csv").write_text("x,y\n1,2\n\n3.5,-4\n")
    (tmp_path / "c.csv").write_text("\ufeff1,2\n3.5,-4")
    for name in ("a.npy", "b.csv", "c.csv"):
        np.testing.assert_array_equal(read_points(tmp_path / name), points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no points"),
        ("x,y\n", "holds no points"),
        ("1,2\n3\n", "line 2: has 1 columns"),
        ("1,2\n3,up\n", "line 2: '3', 'up' are not two numbers"),
        ("1,2\nnan,3\n", "point 2 holds NaN"),
    ],
)
def test_a_csv_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_points(path)


def test_files_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_points(tmp_path / "absent.npy")
    np.save(tmp_path / "wide.npy", np.zeros((4, 3)))
    with pytest.raises(UsageError, match=r"save numbers of shape \(n_points, 2\)"):
        read_points(tmp_path / "wide.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(UsageError, match="save plain numbers"):
        read_points(tmp_path / "objects.npy")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(UsageError, match="cut off"):
        read_points(tmp_path / "broken.npy")
    (tmp_path / "latin.csv").write_bytes(b"\xff\xfe1,2\n")
    with pytest.raises(UsageError, match="cut off"):
        read_points(tmp_path / "latin.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        read_points(tmp_path)
