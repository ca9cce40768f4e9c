from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.errors import StriateError, UsageError
from striate.images import ImageFolder, read_image
from striate.live.found import _even_shares
from striate.live.samples import TRASH, SampleFolder
from striate.live.undo import MOST_CHANGES
from tests.live.talking import ROOT, jpeg

RED, BLUE = jpeg("red", 16), jpeg("blue", 16)


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[SampleFolder]:
    samples = SampleFolder(tmp_path / "things")
    yield samples
    samples.close()


def _undo_all(samples: SampleFolder) -> None:
    while True:
        samples.undo.last()


def on_disk(root: Path) -> dict[str, list[bytes]]:
    """The contents of the files of each class, as `striate train` finds them."""
    try:
        images = ImageFolder(root)
    except UsageError:
        return {}
    found: dict[str, list[bytes]] = {}
    for index, label in enumerate(images.labels or []):
        found.setdefault(label, []).append(images.path_of(index).read_bytes())
    return {label: sorted(files) for label, files in found.items()}


def in_memory(samples: SampleFolder) -> dict[str, list[bytes]]:
    """The same, by what the object says."""
    return {
        one.name: sorted(samples.path_of(sample).read_bytes() for sample in one.samples)
        for one in samples.classes.values()
        if one.samples
    }


def test_samples_are_ordinary_files_of_ordinary_folders(samples: SampleFolder) -> None:
    cup, dog = samples.add_class("cup"), samples.add_class("dog")
    ids = [samples.add(cup, RED), samples.add(dog, BLUE), samples.add(cup, BLUE)]
    assert ids == sorted(set(ids))
    assert on_disk(samples.path) == in_memory(samples) == {"cup": sorted([RED, BLUE]), "dog": [BLUE]}
    assert all(read_image(samples.path_of(one)).shape == (3, 16, 16) for one in ids)


def test_the_next_session_finds_everything(tmp_path: Path) -> None:
    first = SampleFolder(tmp_path)
    cup = first.add_class("cup")
    first.add_class("still empty")
    for _ in range(3):
        first.add(cup, RED)
    with pytest.raises(UsageError, match="another striate live"):
        SampleFolder(tmp_path)
    first.close()
    second = SampleFolder(tmp_path)
    assert [(one.name, len(one.samples)) for one in second.classes.values()] == [("cup", 3), ("still empty", 0)]
    second.add(1, BLUE)  # under a name of its own
    assert len(on_disk(tmp_path)["cup"]) == 4
    second.close()


def test_every_change_can_be_undone_last_first(samples: SampleFolder) -> None:
    cup, dog = samples.add_class("cup"), samples.add_class("dog")
    first, second = samples.add(cup, RED), samples.add(cup, BLUE)
    samples.add(dog, RED)
    changes = [
        lambda: samples.move(first, dog),
        lambda: samples.delete(second),
        lambda: samples.rename_class(dog, "cat"),
        lambda: samples.delete_class(cup),
        lambda: samples.add_class("bird"),
        lambda: samples.rename_class(dog, "CAT"),
        lambda: samples.delete_class(dog),
    ]
    states = []
    for change in changes:
        states.append((list(samples.classes), in_memory(samples), on_disk(samples.path)))
        change()
        assert in_memory(samples) == on_disk(samples.path)
    for state in reversed(states):
        samples.undo.last()
        assert (list(samples.classes), in_memory(samples), on_disk(samples.path)) == state


def test_samples_of_one_press_of_a_key_are_undone_together(
    samples: SampleFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("striate.live.samples.time.monotonic", lambda: now)
    cup, dog = samples.add_class("cup"), samples.add_class("dog")
    for _ in range(3):
        samples.add(cup, RED)
        now += 0.1
    samples.add(dog, RED)
    now += 5
    samples.add(dog, BLUE)
    for words, left in (("adding 1 sample to dog", 4), ("adding 1 sample to dog", 3), ("adding 3 samples to cup", 0)):
        assert samples.undo.words == words
        assert samples.undo.last() == words
        assert len(samples.samples) == left
    assert on_disk(samples.path) == {}


def test_what_was_deleted_is_not_trained_on_and_gone_after_the_session(tmp_path: Path) -> None:
    samples = SampleFolder(tmp_path)
    cup = samples.add_class("cup")
    first = samples.add(cup, RED)
    samples.add(cup, BLUE)
    samples.delete(first)
    assert on_disk(tmp_path) == {"cup": [BLUE]}
    assert list((tmp_path / TRASH).rglob("*.jpg"))
    samples.close()
    assert not (tmp_path / TRASH).exists()


def test_the_trash_stays_small(samples: SampleFolder) -> None:
    cup = samples.add_class("cup")
    for _ in range(MOST_CHANGES + 30):
        samples.delete(samples.add(cup, RED))
    # Each sample is two changes: adding it, and deleting it.
    assert len(list((samples.path / TRASH).rglob("*.jpg"))) == MOST_CHANGES // 2
    assert len(samples.undo) == MOST_CHANGES


def test_an_undo_overwrites_nothing(samples: SampleFolder) -> None:
    cup = samples.add_class("cup")
    sample = samples.add(cup, RED)
    path = samples.path_of(sample)
    samples.delete(sample)
    path.write_bytes(b"someone else's")
    with pytest.raises(StriateError, match="cannot bring back"):
        samples.undo.last()
    assert path.read_bytes() == b"someone else's"

    samples.add_class("dog")
    (samples.path / "dog" / "note.txt").write_text("mine")
    with pytest.raises(StriateError, match="delete it instead"):
        samples.undo.last()
    samples.delete_class(cup)
    (samples.path / "cup").mkdir()
    with pytest.raises(StriateError, match="cannot bring back"):
        samples.undo.last()


def test_names_of_files_are_not_overwritten(samples: SampleFolder) -> None:
    cup, dog = samples.add_class("cup"), samples.add_class("dog")
    sample = samples.add(cup, RED)
    (samples.path / "dog" / samples.path_of(sample).name).write_bytes(BLUE)
    samples.move(sample, dog)
    assert len(os.listdir(samples.path / "dog")) == 2
    (samples.path / "a file").write_text("")
    for change in (lambda: samples.add_class("a file"), lambda: samples.rename_class(cup, "a file")):
        with pytest.raises(StriateError, match=r"exist|already"):
            change()


def test_what_is_gone_is_said(samples: SampleFolder) -> None:
    cup = samples.add_class("cup")
    sample = samples.add(cup, RED)
    for change in (
        lambda: samples.add(77, RED),
        lambda: samples.rename_class(77, "x"),
        lambda: samples.delete_class(77),
        lambda: samples.delete(77),
        lambda: samples.move(77, cup),
        lambda: samples.move(sample, 77),
    ):
        with pytest.raises(UsageError, match="gone"):
            change()
    with pytest.raises(UsageError, match="nothing to undo"):
        _undo_all(samples)


def test_files_that_someone_removes_meanwhile_do_no_harm(samples: SampleFolder) -> None:
    cup = samples.add_class("cup")
    sample = samples.add(cup, RED)
    samples.path_of(sample).unlink()
    (samples.path / "cup").rmdir()
    samples.delete(sample)
    assert samples.samples == {}
    samples.add(cup, BLUE)
    assert on_disk(samples.path) == {"cup": [BLUE]}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_what_lies_elsewhere_is_not_changed(tmp_path: Path) -> None:
    originals = tmp_path / "originals"
    originals.mkdir()
    (originals / "one.jpg").write_bytes(RED)
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "cup").symlink_to(originals)
    samples = SampleFolder(tmp_path / "things")
    (sample,) = samples.samples
    dog = samples.add_class("dog")
    for change in (lambda: samples.delete(sample), lambda: samples.move(sample, dog)):
        with pytest.raises(UsageError, match="outside"):
            change()
    samples.delete_class(1)  # the link
    samples.close()
    assert (originals / "one.jpg").read_bytes() == RED

    (tmp_path / "other" / TRASH).parent.mkdir()
    (tmp_path / "other" / TRASH).symlink_to(originals)
    with pytest.raises(UsageError, match="is a link"):
        SampleFolder(tmp_path / "other")
    assert (originals / "one.jpg").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take these names for one")
def test_folders_of_one_name_in_two_forms_are_one_class(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        folder = tmp_path / unicodedata.normalize(form, "Käse")
        folder.mkdir()
        (folder / "one.jpg").write_bytes(RED)
    samples = SampleFolder(tmp_path)
    (only,) = samples.classes.values()
    assert (only.name, len(only.samples)) == ("Käse", 2)
    for change in (lambda: samples.delete_class(only.id), lambda: samples.rename_class(only.id, "Brie")):
        with pytest.raises(UsageError, match="2 folders"):
            change()
    samples.add(only.id, BLUE)
    assert on_disk(tmp_path)["Käse"] == sorted([RED, RED, BLUE])
    samples.close()


def test_of_a_large_folder_an_even_part_is_used(tmp_path: Path) -> None:
    for name, n in (("many", 40), ("some", 10), ("few", 2)):
        (tmp_path / name).mkdir()
        for number in range(n):
            (tmp_path / name / f"{number:02}.jpg").write_bytes(RED)
    samples = SampleFolder(tmp_path, most=20)
    assert {one.name: len(one.samples) for one in samples.classes.values()} == {"few": 2, "many": 9, "some": 9}
    used = [samples.samples[one].name for one in samples.classes[2].samples]
    assert (used[0], used[-1]) == ("many/00.jpg", "many/39.jpg")
    assert "52 images; 20 of them" in samples.notes[-1]
    samples.close()


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(0, 100))
def test_shares_are_even(counts: list[int], most: int) -> None:
    shares = _even_shares(counts, most)
    assert sum(shares) <= most
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    if sum(counts) <= most:
        assert shares == counts
    else:
        cut = [share for share, count in zip(shares, counts, strict=True) if share < count]
        assert max(shares) - min(cut) <= 1
        assert sum(shares) == most


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/sub"):
        with pytest.raises(UsageError, match="cannot be used"):
            SampleFolder(tmp_path / name)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_memory_and_disk_agree_after_any_changes(steps: list[tuple[int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        samples = SampleFolder(place)
        for number, (what, one, other) in enumerate(steps):
            classes, ids = list(samples.classes), list(samples.samples)
            try:
                if what == 0:
                    samples.add_class(f"class {one}")
                elif what == 6 and len(samples.undo):
                    samples.undo.last()
                elif classes and what in (1, 2):
                    samples.add(classes[one % len(classes)], jpeg("red", 8 + number % 5))
                elif classes and what == 3:
                    samples.rename_class(classes[one % len(classes)], f"class {other}")
                elif classes and what == 4 and one == 0:
                    samples.delete_class(classes[other % len(classes)])
                elif ids and what == 4:
                    samples.delete(ids[one % len(ids)])
                elif ids and what == 5:
                    samples.move(ids[one % len(ids)], classes[other % len(classes)])
            except UsageError:
                pass  # a name that is taken
            assert in_memory(samples) == on_disk(Path(place))
        samples.close()
        again = SampleFolder(place)
        assert in_memory(again) == on_disk(Path(place))
        assert {one.name for one in again.classes.values()} == {one.name for one in samples.classes.values()}
        again.close()


ADDS = """
import sys
from striate.live.samples import SampleFolder
from tests.live.talking import jpeg
samples = SampleFolder(sys.argv[1])
cup, dog = samples.add_class("cup"), samples.add_class("dog")
print("begun", flush=True)
while True:
    sample = samples.add(cup, jpeg("red", 256))
    print(samples.path_of(sample), flush=True)
    samples.move(sample, dog)
    samples.rename_class(cup, "mug")
    samples.undo.last()
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_while_samples_are_added_loses_none(tmp_path: Path, seed: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ADDS, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    written = [process.stdout.readline().strip() for _ in range(random.Random(seed).randrange(1, 40))]
    process.send_signal(signal.SIGKILL)
    written += [line.strip() for line in process.stdout.read().splitlines() if line.endswith(".jpg")]
    process.wait()
    process.stdout.close()
    samples = SampleFolder(tmp_path)
    found = [samples.path_of(one) for one in samples.samples]
    assert {path.name for path in found} >= {os.path.basename(path) for path in written}
    assert all(read_image(path).shape == (3, 256, 256) for path in found)
    assert {one.name for one in samples.classes.values()} in ({"cup", "dog"}, {"mug", "dog"})
    samples.close()
