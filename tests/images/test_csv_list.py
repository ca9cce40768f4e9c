from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from striate.errors import UsageError
from striate.images import ImageFolder
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
        ("", "names no images"),
        ("path,label\n", "names no images"),
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


def _images(folder: Path) -> list[tuple[str, str]]:
    """Twelve files and their labels."""
    rows = [(f"img/{label}{number}.png", label) for label in ("bars", "rings") for number in range(6)]
    (folder / "img").mkdir()
    for name, _ in rows:
        (folder / name).touch()
    return rows


_TITLES = [
    "filename,label",
    "filenames,cats",
    "image_id,label",
    "id_code,diagnosis",
    "Image,Kind",
    "photo path,label",
    "Datei,Klasse",
    "ファイル,ラベル",
    "sep=,",
    "",
]


@pytest.mark.parametrize("titles", _TITLES)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_titles_delimiters_and_ends_of_lines(tmp_path: Path, titles: str, delimiter: str, end: str) -> None:
    if titles == "sep=,":
        if end == "\r":
            pytest.skip("no program writes it so")
        lines = [f"sep={delimiter}"]
    else:
        lines = [titles.replace(",", delimiter)] if titles else []
    rows = _images(tmp_path)
    content = end.join([*lines, *(delimiter.join(row) for row in rows)]) + end
    assert read_csv(_csv(tmp_path, content)) == ([name for name, _ in rows], [label for _, label in rows])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    rows = [(name, label + "é") for name, label in _images(tmp_path)]
    content = "filename,label\n" + "\n".join(",".join(row) for row in rows)
    assert read_csv(_csv(tmp_path, content.encode(encoding))) == ([row[0] for row in rows], [row[1] for row in rows])


@pytest.mark.parametrize(
    ("titles", "write"),
    [
        (",filename,label", lambda number, name, label: f"{number},{name},{label}"),
        ("Unnamed: 0,filename,label", lambda number, name, label: f"{number},{name},{label}"),
        ("label,filename", lambda number, name, label: f"{label},{name}"),
        ("", lambda number, name, label: f"{label},{name}"),
        ("filename,label", lambda number, name, label: f"{name.replace('/', chr(92))},{label}"),
        ("filename,label", lambda number, name, label: f"{name.removesuffix('.png')},{label}"),
        ("id,label", lambda number, name, label: f"{name.removesuffix('.png').replace('/', chr(92))}, {label}"),
        ("filename,width,label", lambda number, name, label: f"{name},40,{label}"),
        ("label;note;filename", lambda number, name, label: f'{label};"a, b; c";{name}'),
        ('"filename","label"', lambda number, name, label: f'"{name}","{label}"'),
        ("filename;label", lambda number, name, label: f"./{name};{label}"),
    ],
)
def test_columns_and_paths_as_programs_write_them(tmp_path: Path, titles: str, write: Callable[..., str]) -> None:
    rows = _images(tmp_path)
    lines = [write(number, *row) for number, row in enumerate(rows)]
    names, labels = read_csv(_csv(tmp_path, "\n".join([titles, *lines] if titles else lines)))
    assert [name.removeprefix("./") for name in names] == [name for name, _ in rows]
    assert labels == [label for _, label in rows]


def test_row_numbers_are_no_labels(tmp_path: Path) -> None:
    rows = _images(tmp_path)
    content = "\n".join([",filename", *(f"{number},{name}" for number, (name, _) in enumerate(rows))])
    assert read_csv(_csv(tmp_path, content)) == ([name for name, _ in rows], None)
    content = "\n".join(f"{name},{number}" for number, (name, _) in enumerate(rows))
    assert read_csv(_csv(tmp_path, content))[1] == [str(number) for number in range(12)]


def test_an_ending_that_could_be_two_is_not_guessed(tmp_path: Path) -> None:
    _images(tmp_path)
    (tmp_path / "img/bars0.jpg").touch()
    missing: list[tuple[str, int]] = []
    assert read_csv(_csv(tmp_path, "path\nimg/bars0\nimg/bars1"), missing=missing)[0] == ["img/bars0", "img/bars1.png"]
    assert missing == [("img/bars0", 2)]


def test_a_wrong_path_is_quoted_with_its_line(tmp_path: Path) -> None:
    _images(tmp_path)
    folder = ImageFolder(_csv(tmp_path, "filename,label\nimg/bars0.png,a\nimg/typo.png,b\nimg/bars1.png,a\n"))
    assert folder.names == ["img/bars0.png", "img/typo.png", "img/bars1.png"]
    (note,) = folder.notes
    assert "1 of 3 files that are named do not exist, the first is img/typo.png on line 3" in note
    with pytest.raises(UsageError, match=r"list\.csv, line 2: pics/1\.png does not exist"):
        ImageFolder(_csv(tmp_path, "filename,label\npics/1.png,a\npics/2.png,b\n"))


def test_one_label_column_is_needed(tmp_path: Path) -> None:
    _images(tmp_path)
    with pytest.raises(UsageError, match="has 3 columns"):
        read_csv(_csv(tmp_path, "filename,first,second\nimg/bars0.png,a,b\nimg/bars1.png,a,c\n"))
