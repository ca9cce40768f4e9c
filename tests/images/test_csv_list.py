from __future__ import annotations

from pathlib import Path

import pytest

from striate.errors import UsageError
from striate.images.csv_list import read_csv


def _csv(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.jpg,cat\nb.jpg,dog\n",
        "a.jpg,cat\nb.jpg,dog",
        "Image,Class\r\na.jpg, cat \r\n\r\n,\r\nb.jpg,dog\r\n",
        b"\xef\xbb\xbfpath,label\na.jpg,cat\nb.jpg,dog\n",  # as spreadsheets save it
        '"a.jpg","cat"\n"b.jpg","dog"\n',
    ],
)
def test_ways_to_write_the_same(tmp_path: Path, content: str | bytes) -> None:
    assert read_csv(_csv(tmp_path, content)) == (["a.jpg", "b.jpg"], ["cat", "dog"])


def test_names_and_labels_in_every_script(tmp_path: Path) -> None:
    content = 'кошки/1.jpg,кошка\n"a, b.jpg","猫, 犬"\n"line\nbreak.jpg",x\n'
    names, labels = read_csv(_csv(tmp_path, content))
    assert names == ["кошки/1.jpg", "a, b.jpg", "line\nbreak.jpg"]
    assert labels == ["кошка", "猫, 犬", "x"]


def test_blank_labels(tmp_path: Path) -> None:
    assert read_csv(_csv(tmp_path, "a.jpg,cat\nb.jpg,\nc.jpg,  \n")) == (
        ["a.jpg", "b.jpg", "c.jpg"],
        ["cat", "", ""],
    )
    for content in ("a.jpg,\nb.jpg,\n", "path\na.jpg\nb.jpg\n", "a.jpg\nb.jpg\n"):
        assert read_csv(_csv(tmp_path, content)) == (["a.jpg", "b.jpg"], None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a.jpg,cat\nb.jpg,dog,3\n", r"line 2: has 3 columns, the first row has 2.*double quotes"),
        ("a.jpg,cat\n\nb.jpg\n", "line 3: has 1 columns"),
        ("a.jpg;cat;1,2,3\n", "line 1: has 3 columns"),
        ("a.jpg,cat\n,dog\n", "line 2: the path is blank"),
        ("path,label\na.jpg,cat\nb.jpg,dog\na.jpg,dog\n", r"line 4: a\.jpg is already on line 2"),
        ('a.jpg,cat\n"b.jpg,dog\n', "line 2: is malformed"),
        ('a.jpg,cat\n"b.jpg"x,dog\n', "line 2: is malformed"),
        ("a.jpg,cat\nb\0.jpg,dog\n", "line 2: (holds a zero byte|is malformed)"),
        ("a.jpg,Köln\n".encode("latin-1"), "not UTF-8"),
        ("", "names no pictures"),
        ("path,label\n", "names no pictures"),
    ],
)
def test_what_is_malformed_is_named_by_its_line(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        read_csv(_csv(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "list.csv"))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_csv(tmp_path / "list.csv")
