"""The samples of a live session: an ordinary folder of classes, in which every change is on the disk at once.

Each sub-folder is a class, as for `striate train`. A new sample is written under a temporary name, flushed to the
disk, and then renamed; a class or a sample that is deleted moves, in one renaming, into the hidden folder
``.striate-trash``, from where it can be brought back until the session ends. So nothing is half done after a crash.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from striate.errors import StriateError, UsageError, one_line
from striate.file_lock import hold
from striate.live.class_names import checked_name
from striate.live.found import MOST_CLASSES, find_classes
from striate.live.undo import Undo
from striate.whole_file import whole_file

__all__ = ["MOST_SAMPLES", "Origin", "Sample", "SampleClass", "SampleFolder"]

MOST_SAMPLES = 2000
"""Samples that are learned from a large folder; learning them takes about a minute."""

TRASH = ".striate-trash"
# The time when the key was pressed, and a number: the next session still knows which samples were taken together.
_BURST = re.compile(r"(\d{8})-(\d{6})-\d{5}\b", re.ASCII)
_TOGETHER = 1.0  # seconds: samples that follow each other faster were added by one press of a key


@dataclass
class Sample:
    """An image of a class."""

    id: int
    class_id: int
    name: str  # relative to the folder, with "/"

    @property
    def burst(self) -> int | None:
        """A number that the samples of one press of a key share, from their names; None for other files."""
        match = _BURST.match(self.name.rpartition("/")[2])
        return int(match[1] + match[2]) if match else None


class Origin(NamedTuple):
    """What is no class, from where a sample comes, or to where it goes."""

    name: str
    take_back: Callable[[], None]  # what else has to be done to undo the move


@dataclass
class SampleClass:
    """A sub-folder with images of one kind."""

    id: int
    name: str
    folders: list[str]  # more than one if names differ only in the form of their Unicode
    samples: list[int] = field(default_factory=list)  # ascending


class SampleFolder:
    """A folder of classes that grows and changes while it is used; one thread at a time may change it.

    Parameters
    ----------
    path : str or path
        The folder; it is created if it does not exist.
    most : int, default=`MOST_SAMPLES`
        If the folder has more images, so many are taken, as evenly from all classes as possible, and `notes` says so.

    Attributes
    ----------
    path : Path
    classes : dict of int to SampleClass
        In the order in which they are shown. Numbers are never used twice.
    samples : dict of int to Sample
        Numbers ascend in the order in which samples came, and are never used twice.
    undo : Undo
        What can be undone.
    notes : list of str
        Sentences about what was left out when the folder was read.

    Raises
    ------
    UsageError
        If the path is not a folder, or another session has it open.
    """

    def __init__(self, path: str | os.PathLike[str], *, most: int = MOST_SAMPLES) -> None:
        self.path = Path(path)
        self.classes: dict[int, SampleClass] = {}
        self.samples: dict[int, Sample] = {}
        self.undo = Undo()
        self._last_class = self._last_sample = self._n_written = self._n_trashed = 0
        self._last_written, self._last_added_to, self._stamp = -_TOGETHER, 0, ""
        self._open = ExitStack()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            mine = self._open.enter_context(hold(self.path / "live"))
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else (error.strerror or str(error)).lower()
            raise UsageError(f"{one_line(str(path))} cannot be used as a folder of classes: {reason}") from None
        if not mine:
            raise UsageError(f"{one_line(str(path))}: another striate live has this folder open; end it first")
        try:
            self._empty_trash()
            found, self.notes = find_classes(self.path, most)
        except BaseException:
            self._open.close()
            raise
        for name, folders, files in found:
            self._last_class += 1
            self.classes[self._last_class] = SampleClass(self._last_class, name, folders)
            for file in files:
                self._show(Sample(self.new_id(), self._last_class, file))

    def close(self) -> None:
        """End the session: what was deleted is gone from now on, and others may open the folder."""
        with suppress(OSError):
            self._empty_trash()
        self._open.close()

    def new_id(self) -> int:
        """A number for a sample, greater than all before."""
        self._last_sample += 1
        return self._last_sample

    def path_of(self, sample: int) -> Path:
        """The file of a sample; KeyError if there is no such sample."""
        return self.path / self.samples[sample].name

    def sample_of(self, sample: int) -> Sample:
        """A sample by its number.

        Raises
        ------
        UsageError
            If there is none.
        """
        if sample not in self.samples:
            raise UsageError("this sample is gone: choose another one")
        return self.samples[sample]

    def class_of(self, class_id: int) -> SampleClass:
        """A class by its number.

        Raises
        ------
        UsageError
            If there is none.
        """
        if class_id not in self.classes:
            raise UsageError("this class is gone: choose another one")
        return self.classes[class_id]

    # Changes. Each is whole on the disk before it is seen in the attributes.

    def add(self, class_id: int, jpeg: bytes, *, origin: Origin | None = None) -> int:
        """Write a sample of a class, a JPEG file as it is; return its number.

        Samples that follow each other within a second are undone together, but for those that come from elsewhere.
        """
        target = self.class_of(class_id)
        folder = self.path / target.folders[0]
        now = time.monotonic()
        together = origin is None and class_id == self._last_added_to and now - self._last_written < _TOGETHER
        if not together:
            self._stamp = time.strftime("%Y%m%d-%H%M%S")
        while True:
            self._n_written += 1
            name = f"{self._stamp}-{self._n_written:05d}.jpg"
            if not os.path.lexists(folder / name):
                break
        with _explained(f"cannot write a sample of {target.name}"):
            folder.mkdir(exist_ok=True)  # someone may have removed it
            with whole_file(folder / name) as file:
                file.write(jpeg)
        sample = Sample(self.new_id(), class_id, f"{target.folders[0]}/{name}")
        self._show(sample)
        if origin is not None:

            def send_back() -> None:
                self._take_back([sample.id])
                origin.take_back()

            self.undo.note(f"moving a sample from {origin.name} to {target.name}", send_back)
            return sample.id
        self.undo.note_added(sample.id, target.name, self._take_back, together=together)
        self._last_written, self._last_added_to = now, class_id
        return sample.id

    def add_class(self, name: object) -> int:
        """Create an empty class; return its number."""
        if len(self.classes) >= MOST_CLASSES:
            raise UsageError(f"there are {MOST_CLASSES} classes, more do not fit: delete one first")
        checked = checked_name(name, [one.name for one in self.classes.values()])
        with _explained(f"cannot make a folder {checked}"):
            os.mkdir(self.path / checked)
        self._last_class += 1
        added = SampleClass(self._last_class, checked, [checked])
        self.classes[added.id] = added

        def take_back() -> None:
            with _explained(f"the class {checked} has samples: delete it instead"):
                os.rmdir(self.path / added.folders[0])
            del self.classes[added.id]

        self.undo.note(f"adding the class {checked}", take_back)
        return added.id

    def rename_class(self, class_id: int, name: object) -> None:
        """Give a class, and its folder, another name."""
        renamed = self.class_of(class_id)
        checked = checked_name(name, [one.name for one in self.classes.values() if one is not renamed])
        old_name, old_folder = renamed.name, _only_folder(renamed)
        if checked == old_name:
            return
        self._move_class(renamed, checked, checked)
        self.undo.note(f"renaming {old_name} to {checked}", lambda: self._move_class(renamed, old_name, old_folder))

    def delete_class(self, class_id: int) -> None:
        """Move a class and all its samples to the trash."""
        deleted = self.class_of(class_id)
        folder = _only_folder(deleted)
        place = list(self.classes).index(class_id)
        trashed = self._trash(folder, f"cannot delete {deleted.name}")
        lost = [self.samples.pop(sample) for sample in deleted.samples]
        del self.classes[class_id]

        def bring_back() -> None:
            self._bring_back(trashed, folder)
            entries = list(self.classes.items())
            self.classes.clear()
            self.classes.update([*entries[:place], (class_id, deleted), *entries[place:]])
            self.samples.update((sample.id, sample) for sample in lost)

        self.undo.note(f"deleting the class {deleted.name}", bring_back, trashed)

    def delete(self, sample: int, *, goal: Origin | None = None) -> None:
        """Move a sample to the trash, also if it goes elsewhere."""
        gone = self.sample_of(sample)
        trashed = self._trash(gone.name, "cannot delete the sample")
        self._hide(gone)

        def bring_back() -> None:
            self._bring_back(trashed, gone.name)
            self._show(gone)
            if goal is not None:
                goal.take_back()

        name = self.classes[gone.class_id].name
        words = f"deleting a sample of {name}" if goal is None else f"moving a sample from {name} to {goal.name}"
        self.undo.note(words, bring_back, trashed)

    def move(self, sample: int, class_id: int) -> None:
        """Move a sample to another class."""
        moved, target = self.sample_of(sample), self.class_of(class_id)
        if moved.class_id == class_id:
            return
        source = self.classes[moved.class_id]
        self._move_sample(moved, target)
        self.undo.note(f"moving a sample from {source.name} to {target.name}", lambda: self._move_sample(moved, source))

    # Parts of them

    def _show(self, sample: Sample) -> None:
        insort(self.classes[sample.class_id].samples, sample.id)
        self.samples[sample.id] = sample

    def _hide(self, sample: Sample) -> None:
        self.classes[sample.class_id].samples.remove(sample.id)
        del self.samples[sample.id]

    def _take_back(self, added: list[int]) -> None:
        for sample in added:
            if sample in self.samples:
                self._trash(self.samples[sample].name, "cannot take back a sample")
                self._hide(self.samples[sample])

    def _move_class(self, moved: SampleClass, name: str, folder: str) -> None:
        before = moved.folders[0]
        old, new = self.path / before, self.path / folder
        with _explained(f"cannot rename {moved.name} to {name}"):
            if os.path.lexists(new) and not _same(old, new):
                raise FileExistsError(None, f"there is a file or a folder {folder} already")
            os.rename(old, new)
        moved.name, moved.folders = name, [folder]
        for sample in moved.samples:
            self.samples[sample].name = folder + self.samples[sample].name.removeprefix(before)

    def _move_sample(self, moved: Sample, target: SampleClass) -> None:
        if target.id not in self.classes:
            raise UsageError(f"the class {target.name} is gone: the sample stays where it is")
        first = os.path.basename(moved.name)
        stem, ending = os.path.splitext(first)
        name, n = f"{target.folders[0]}/{first}", 1
        while os.path.lexists(self.path / name):
            n += 1
            name = f"{target.folders[0]}/{stem}-{n}{ending}"
        with _explained(f"cannot move the sample to {target.name}"):
            self._check_own(moved.name)
            os.rename(self.path / moved.name, self.path / name)
        self._hide(moved)
        moved.name, moved.class_id = name, target.id
        self._show(moved)

    def _trash(self, name: str, words: str) -> Path:
        """Move a file or a folder to the trash; return where it is now."""
        self._n_trashed += 1
        place = self.path / TRASH / str(self._n_trashed)
        trashed = place / os.path.basename(name)
        with _explained(words):
            self._check_own(name)
            place.mkdir(parents=True)
            with suppress(FileNotFoundError):  # someone else has removed it
                os.rename(self.path / name, trashed)
        return trashed

    def _bring_back(self, trashed: Path, name: str) -> None:
        with _explained(f"cannot bring back {os.path.basename(name)}"):
            if os.path.lexists(self.path / name):
                raise FileExistsError(None, "there is another one of this name now")
            os.rename(trashed, self.path / name)

    def _check_own(self, name: str) -> None:
        """Refuse to move what lies elsewhere, and is reached by a link."""
        root, parent = os.path.realpath(self.path), os.path.realpath((self.path / name).parent)
        if os.path.commonpath([root, parent]) != root:
            raise UsageError(f"{one_line(name)} lies outside the folder, where a link leads: change it there")

    def _empty_trash(self) -> None:
        trash = self.path / TRASH
        if trash.is_symlink():
            raise UsageError(f"{one_line(str(trash))} is a link: remove it, striate live keeps deleted samples there")
        with suppress(FileNotFoundError):
            shutil.rmtree(trash)


def _only_folder(one: SampleClass) -> str:
    if len(one.folders) > 1:
        raise UsageError(
            f"{one.name} has {len(one.folders)} folders whose names look the same: make them one folder first"
        )
    return one.folders[0]


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


@contextmanager
def _explained(words: str) -> Iterator[None]:
    """Turn errors of the system into one sentence."""
    try:
        yield
    except UsageError:
        raise
    except OSError as error:
        raise StriateError(one_line(f"{words}: {error.strerror or error}")) from error
