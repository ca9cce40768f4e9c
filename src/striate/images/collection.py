"""Collections of images of any sizes: the form in which the rest of the library takes images.

A collection holds names and labels, and reads an image only when it is needed: a folder of 80 GB takes only the memory
for its file names.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, SupportsIndex

import numpy as np

from striate.errors import UnreadableImage, UsageError


class ImageCollection(ABC):
    """An ordered collection of images, some or all of which may have a label.

    Attributes
    ----------
    names : sequence of str
        The name of each image in messages and results: a path inside the folder, or array and number.
    labels : list of str, or None
        The class of each image, ``""`` for an image without one; None when no image has a label.
    notes : list of str
        Remarks about the source, one sentence per entry: ignored files, classes without readable images, folders that
        cannot be opened. Usually empty.
    ignored : dict of str to int
        Endings of ignored files (``".heic"``; ``""`` for names without one), and their numbers.
    unreadable_folders : list of str
        Folders within the source that could not be opened, relative, with ``/``. Their images are missing from `names`
        but may still exist.
    """

    names: Sequence[str]
    labels: list[str] | None = None
    notes: list[str]
    ignored: dict[str, int]
    unreadable_folders: list[str]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Give every collection its own lists, even if the ``__init__`` of its class does not set them."""
        collection = super().__new__(cls)
        collection.notes, collection.ignored, collection.unreadable_folders = [], {}, []
        return collection

    @abstractmethod
    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """One image.

        Parameters
        ----------
        index : int
            0 to ``len(self) - 1``.
        color : bool, optional
            True gives red, green and blue, False luma, None (the default) what is stored.
        at_least : int, optional
            Allow the image to be reduced by a whole factor, as long as its longer side keeps at least this number of
            pixels. Large photographs are then read several times faster.

        Returns
        -------
        (channels, height, width) float32 array
            0–1 where integers are stored.

        Raises
        ------
        UnreadableImage
            When the image cannot be decoded.
        """

    @abstractmethod
    def size_of(self, index: int) -> tuple[int, int, int]:
        """Height, width and channels of one image, without decoding it.

        Raises
        ------
        UnreadableImage
            When not even the file's header can be read.
        """

    def prepared(self, index: int, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """One image, read and prepared: the one place where a preprocessing meets an image.

        Parameters
        ----------
        index : int
        prepare : Preprocessing or callable
            (channels, height, width) → array. A `Preprocessing` also says how it needs images to be read; for other
            callables they are read as they are stored.

        Raises
        ------
        UnreadableImage
            When the image cannot be decoded, or is not one that the preprocessing takes.
        """
        image = self.read(index, **getattr(prepare, "reading", {}))
        try:
            return prepare(image)
        except UnreadableImage as error:
            raise UnreadableImage(self.names[index], error.reason) from None

    @property
    def white(self) -> float:
        """The value of white in what `read` returns: 255 for floating-point arrays of 0–255, otherwise 1.

        It is determined from the whole array or list, so that a single dark image is treated like the others.
        """
        return 1.0

    def path_of(self, index: int) -> Path | None:
        """The file that one image comes from; None when it is not a file of its own."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._contents()})"

    def _contents(self) -> str:
        """The numbers of images, of classes, and of images without a label."""
        parts = [_counted(len(self), "image", "images")]
        if self.labels is not None:
            parts.append(_counted(len(self.classes), "class", "classes"))
            if n_unlabeled := len(self) - len(self.labeled):
                parts.append(f"{n_unlabeled:,} without a label")
        return ", ".join(parts)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> np.ndarray:
        return self.read(self._checked(index))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.read(index) for index in range(len(self)))

    @property
    def paths(self) -> list[Path] | None:
        """The files, in order; None when the images are not files of their own."""
        found = [path for index in range(len(self)) if (path := self.path_of(index)) is not None]
        return found if len(found) == len(self) else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The distinct labels, sorted: by number when all are whole numbers, otherwise as text."""
        return sorted_classes(self.labels or ())

    @property
    def labeled(self) -> np.ndarray:
        """Indices of the images that have a label, an increasing int64 array."""
        return np.flatnonzero([label != "" for label in self.labels or ()])

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageCollection:
        """Some of the images, in the order of `indices`; they are still read only when needed.

        Parameters
        ----------
        indices : (n,) sequence of int, or (len(self),) sequence of bool
            The images to take, in any order, repetitions allowed; or one truth value per image.

        Returns
        -------
        ImageCollection
            With the names and labels of the chosen images; its classes are those that occur among them.

        Raises
        ------
        IndexError
            When there is no such image.
        UsageError
            When the indices are not whole numbers.
        """
        chosen = np.asarray(indices).reshape(-1)
        if chosen.dtype.kind == "b":
            if len(chosen) != len(self):
                raise UsageError(f"{len(chosen)} truth values for {len(self)} images; give one per image")
            chosen = np.flatnonzero(chosen)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise UsageError(f"indices of images are whole numbers, not {chosen.dtype}")
        return View(self, [self._checked(index) for index in chosen.tolist()])

    def with_labels(self, labels: Sequence[Any] | np.ndarray | None) -> ImageCollection:
        """The same images with other labels.

        Parameters
        ----------
        labels : (n,) sequence of str or int, or None
            One label per image; None or ``""`` for an image without label. None removes all labels.

        Returns
        -------
        ImageCollection
            A view of this collection.

        Raises
        ------
        UsageError
            When the numbers of labels and images differ, or a label is neither text nor a whole number.
        """
        view = View(self, range(len(self)))
        view.labels = None if labels is None else as_labels(labels, n_images=len(self))
        return view

    def _checked(self, index: SupportsIndex) -> int:
        """An index as a non-negative int; IndexError outside the range, as for a list."""
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"image {position} of a collection of {len(self)}")
        return position % len(self)


def _counted(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


class View(ImageCollection):
    """Chosen images of another collection."""

    def __init__(self, whole: ImageCollection, indices: Sequence[int]) -> None:
        self._whole = whole
        self._indices = indices
        self.notes, self.ignored, self.unreadable_folders = whole.notes, whole.ignored, whole.unreadable_folders
        self.names = [whole.names[index] for index in indices]
        self.labels = None if whole.labels is None else [whole.labels[index] for index in indices]

    def __repr__(self) -> str:
        return f"ImageCollection({self._contents()})"

    @property
    def white(self) -> float:
        """See `ImageCollection.white`."""
        return self._whole.white

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        return self._whole.read(self._indices[index], color=color, at_least=at_least)

    def prepared(self, index: int, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """See `ImageCollection.prepared`."""
        return self._whole.prepared(self._indices[index], prepare)

    def size_of(self, index: int) -> tuple[int, int, int]:
        """See `ImageCollection.size_of`."""
        return self._whole.size_of(self._indices[index])

    def path_of(self, index: int) -> Path | None:
        """See `ImageCollection.path_of`."""
        return self._whole.path_of(self._indices[index])


class _Fractions(View):
    """A collection divided by its white."""

    @property
    def white(self) -> float:
        """See `ImageCollection.white`."""
        return 1.0

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        """See `ImageCollection.read`."""
        return self._whole.read(index, color=color, at_least=at_least) / np.float32(self._whole.white)

    def prepared(self, index: int, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """See `ImageCollection.prepared`."""
        return ImageCollection.prepared(self, index, prepare)


def as_fractions(images: ImageCollection) -> ImageCollection:
    """The same images with values of 0–1, whether an array holds 0–1 or 0–255; see `ImageCollection.white`."""
    return images if images.white == 1 else _Fractions(images, range(len(images)))


def as_labels(labels: Sequence[Any] | np.ndarray, *, n_images: int, source: str = "labels") -> list[str]:
    """Labels of any kind as text, one per image.

    Parameters
    ----------
    labels : (n_images,) sequence of str, int or None
        Whole numbers may come as floats. None, NaN and ``""`` stand for no label.
    n_images : int
        The required number of labels.
    source : str
        Where they come from, for messages.

    Returns
    -------
    list of str
        ``""`` for no label.

    Raises
    ------
    UsageError
        When the number or the kind of the labels is wrong.
    """
    # A list, because NumPy would turn numbers among text into text, and None into an object.
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise UsageError(f"{source} are {type(labels).__name__}; give a list or an array, one label per image")
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if not isinstance(values, list):
        values = [values]  # from an array without dimensions
    if len(values) != n_images:
        raise UsageError(f"{source}: {len(values)} labels for {n_images} images; give one label per image")
    return [_as_label(value, index, source) for index, value in enumerate(values)]


def as_class(label: str) -> str:
    """A label in Unicode's composed form (NFC), because operating systems encode "é" in two ways."""
    return unicodedata.normalize("NFC", label)


def _as_label(value: Any, index: int, source: str) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if type(value).__name__ in ("NAType", "NaTType"):  # what pandas has for no value
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str | np.str_):
        return as_class(str(value))
    if isinstance(value, bool | int | np.bool_ | np.integer):
        return str(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    raise UsageError(f"{source}: label {index} is {value!r}, neither text nor a whole number; give one label per image")


def sorted_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """The distinct labels, sorted: by number when all are whole numbers, otherwise as text.

    Parameters
    ----------
    labels : sequence of str
        ``""`` (no label) is left out.

    Returns
    -------
    tuple of str
        ``("2", "10")`` but ``("10", "2", "x")``.
    """
    distinct = set(labels) - {""}
    if all(re.fullmatch(r"-?[0-9]+", label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))
