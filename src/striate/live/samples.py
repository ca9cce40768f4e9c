"""The samples of a live session: an ordinary folder of classes, in which every change is on the disk at once.

Each sub-folder is a class, as for `striate train`. A new sample is written under a temporary name, flushed to the
disk, and then renamed; a class or a sample that is deleted moves, in one renaming, into the hidden folder
``.striate-trash``, from where it can be brought back until the session ends. So nothing is half done after a crash.
"""

from __future__ import annotations

import os
import shutil
import time
from bisect import insort
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from striate.errors import StriateError, UsageError, one_line
from striate.file_lock import hold
from striate.images import ImageFolder
from striate.live.class_names import checked_name
from striate.live.undo import Undo
from striate.whole_file import whole_file

__all__ = ["MOST_CLASSES", "MOST_SAMPLES", "Sample", "SampleClass", "SampleFolder"]

MOST_SAMPLES = 2000
"""Samples that are learned from a large folder; learning them takes about a minute."""

MOST_CLASSES = 200
"""Classes that a person may have on a page; a folder with more is for `striate train`."""

TRASH = ".striate-trash"
_TOGETHER = 1.0  # seconds: samples that follow each other faster were added by one press of a key


@dataclass
class Sample:
    """An image of a class."""

    id: int
    class_id: int
    name: str  # relative to the folder, with "/"


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
        self.notes: list[str] = []
        self._last_class = self._last_sample = self._n_written = self._n_trashed = 0
        self._last_written = -_TOGETHER
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
            self._read(most)
        except BaseException:
            self._open.close()
            raise

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

    def add(self, class_id: int, jpeg: bytes) -> int:
        """Write a sample of a class, a JPEG file as it is; return its number.

        Samples that follow each other within a second are undone together.
        """
        target = self.class_of(class_id)
        folder = self.path / target.folders[0]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        while True:
            self._n_written += 1
            name = f"{stamp}-{self._n_written:05d}.jpg"
            if not os.path.lexists(folder / name):
                break
        with _explained(f"cannot write a sample of {target.name}"):
            folder.mkdir(exist_ok=True)  # someone may have removed it
            with whole_file(folder / name) as file:
                file.write(jpeg)
        sample = Sample(self.new_id(), class_id, f"{target.folders[0]}/{name}")
        self._show(sample)
        now = time.monotonic()
        self.undo.note_added(sample.id, target.name, self._take_back, together=now - self._last_written < _TOGETHER)
        self._last_written = now
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

    def delete(self, sample: int) -> None:
        """Move a sample to the trash."""
        gone = self._sample(sample)
        trashed = self._trash(gone.name, "cannot delete the sample")
        self._hide(gone)

        def bring_back() -> None:
            self._bring_back(trashed, gone.name)
            self._show(gone)

        self.undo.note(f"deleting a sample of {self.classes[gone.class_id].name}", bring_back, trashed)

    def move(self, sample: int, class_id: int) -> None:
        """Move a sample to another class."""
        moved, target = self._sample(sample), self.class_of(class_id)
        if moved.class_id == class_id:
            return
        source = self.classes[moved.class_id]
        self._move_sample(moved, target)
        self.undo.note(f"moving a sample from {source.name} to {target.name}", lambda: self._move_sample(moved, source))

    # Parts of them

    def _sample(self, sample: int) -> Sample:
        if sample not in self.samples:
            raise UsageError("this sample is gone: choose another one")
        return self.samples[sample]

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

    # What is there at the start

    def _read(self, most: int) -> None:
        try:
            found = ImageFolder(self.path)
        except UsageError:
            # It has no images yet; if it cannot be opened, the next line says so.
            names, labels = [], []
            os.listdir(self.path)
        else:
            names, labels = list(found.names), list(found.labels or [""] * len(found.names))
            self.notes += found.notes
        by_class: dict[str, list[str]] = {label: [] for label in sorted(set(labels) - {""})}
        for name, label in zip(names, labels, strict=True):
            if label:
                by_class[label].append(name)
        if len(by_class) > MOST_CLASSES:
            raise UsageError(
                f"{one_line(str(self.path))} has {len(by_class)} classes: give one of at most {MOST_CLASSES}"
            )
        kept = _even_shares([len(own) for own in by_class.values()], most)
        for (label, own), n in zip(by_class.items(), kept, strict=True):
            self._last_class += 1
            folders = sorted({name.partition("/")[0] for name in own}, key=lambda folder: (folder != label, folder))
            self.classes[self._last_class] = SampleClass(self._last_class, label, folders)
            for index in np.linspace(0, len(own) - 1, n).round().astype(int).tolist():
                self._show(Sample(self.new_id(), self._last_class, own[index]))
        self._read_empty_classes()
        n_labeled = sum(map(len, by_class.values()))
        if n_labeled > most:
            self.notes.append(
                f"the folder has {n_labeled:,} images; {sum(kept):,} of them are used, evenly over classes"
            )

    def _read_empty_classes(self) -> None:
        """Classes that were added, and have no sample yet."""
        known = {folder for one in self.classes.values() for folder in one.folders}
        names = [one.name for one in self.classes.values()]
        with os.scandir(self.path) as entries:
            empty = sorted(entry.name for entry in entries if entry.is_dir() and entry.name not in known)
        for folder in empty:
            # Folders of other names were not made here: of systems, hidden, or not meant as classes.
            with suppress(UsageError):
                if len(self.classes) < MOST_CLASSES and checked_name(folder, names) == folder:
                    self._last_class += 1
                    self.classes[self._last_class] = SampleClass(self._last_class, folder, [folder])
                    names.append(folder)


def _even_shares(counts: list[int], most: int) -> list[int]:
    """How many of each class are taken, `most` in all: the same number of each, or all of it if a class has fewer."""
    shares = [0] * len(counts)
    left, waiting = most, sorted(range(len(counts)), key=lambda index: counts[index])
    while waiting:
        index = waiting.pop(0)
        shares[index] = min(counts[index], left // (len(waiting) + 1))
        left -= shares[index]
    return shares


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
