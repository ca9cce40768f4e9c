from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.images import ImageFolder
from striate.live.class_names import _SYSTEM, checked_name, folded
from striate.live.samples import SampleFolder
from tests.live.talking import jpeg


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("cup", "cup"),
        ("  my cup \t", "my cup"),
        ("Käse", "Käse"),
        (unicodedata.normalize("NFD", "Käse"), "Käse"),
        ("猫", "猫"),
        ("cup 🏆", "cup 🏆"),
        ("a & b; c=`d` $(e) 'f'", "a & b; c=`d` $(e) 'f'"),
        ("com", "com"),
        ("console", "console"),
        ("-rf", "-rf"),
    ],
)
def test_good_names(typed: str, name: str) -> None:
    assert checked_name(typed) == name


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "\t", ".", "..", "...", "../up", "..\\up", "/etc", "a/b", "a\\b", "C:", "a:b", "<b>", "a|b", "what?",
        "*", '"', ".hidden", "end.", "a\0b", "a\nb", "\x1b[31m", "a\u202eb", "a\u200bb", "\udcff", "a" * 81, "猫" * 81,
        "con", "CON", "nul.txt", "Com1", "lpt9.tar.gz", "aux", "COM¹", "Thumbs.db", "__MACOSX", "$RECYCLE.BIN",
        None, 3, ["a"],
    ],
)  # fmt: skip
def test_bad_names_are_refused_in_one_line(typed: object) -> None:
    with pytest.raises(UsageError) as refused:
        checked_name(typed)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("typed", "other"), [("cup", "Cup"), ("STRASSE", "straße"), ("Käse", "KA\u0308SE"), ("ﬁsh", "FISH")]
)
def test_names_that_some_system_takes_for_one(typed: str, other: str) -> None:
    assert folded(typed) == folded(other)
    with pytest.raises(UsageError, match="already"):
        checked_name(typed, ["dog", other])


def test_folders_of_systems_are_those_that_striate_skips() -> None:
    from striate.images import folder

    assert folder._LEFTOVERS == _SYSTEM


@given(st.text(max_size=90) | st.text("./\\ ~a\u0301éE:con1$\n", max_size=12))
@example("..")
@example("é")
def test_whatever_is_typed_stays_in_the_folder_and_is_the_label_for_training(typed: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "things"
        samples = SampleFolder(root)
        try:
            added = samples.add_class(typed)
        except UsageError:
            assert [name for name in os.listdir(root) if not name.startswith(".")] == []
        else:
            samples.add(added, jpeg(side=8))
            name = samples.classes[added].name
            assert ImageFolder(root).labels == [name]
            assert unicodedata.normalize("NFC", typed.strip()) == name
            with pytest.raises(UsageError, match="already"):
                samples.add_class(name.upper())
        samples.close()
        assert os.listdir(place) == ["things"]
