"""The features that live recognition starts with: they ship with striate, or come from a model of `striate train`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import model_file, stored
from striate.errors import UsageError
from striate.figures import filter_mosaic
from striate.hierarchy import (
    FilterBank,
    Hierarchy,
    Layer,
    PatchDictionary,
    Paths,
    SparseCodes,
    Standardize,
    learn_filters,
)
from striate.images import Preprocessing
from striate.learning import PSD
from striate.progress import Progress
from striate.samples import as_array

__all__ = ["SHIPPED", "LiveFeatures", "load_features"]

SHIPPED = Path(__file__).parent / "data" / "features.safetensors"
KIND = "features"
N_BARS = 64
_MAP_SIDE = 32  # about, in pixels, of each map in the picture
_BATCH = 32
_PATCHES = 10_000  # for learning here: a tenth of what learning from photographs takes
_LEARNER = PSD(sparsity=2.0, max_batches=300)


class LiveFeatures:
    """Preprocessing and a learned hierarchy, and what they show of themselves.

    Parameters
    ----------
    preprocessing : Preprocessing
    hierarchy : Hierarchy
        Learned.
    """

    def __init__(self, preprocessing: Preprocessing, hierarchy: Hierarchy) -> None:
        self.preprocessing = preprocessing
        self.hierarchy = hierarchy

    @property
    def n_features(self) -> int:
        """Number of features of an image."""
        return math.prod(self.hierarchy.output_shape(self.preprocessing.shape))

    def transform(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Features of one image.

        Parameters
        ----------
        image : uint8 (height, width, 3) or (height, width), or float32 (1 or 3, height, width)
            Of any size; uint8 of 0–255, float32 of 0–1.

        Returns
        -------
        float32 (n_features,)
        """
        return self.hierarchy.transform(self._prepared(image)[None]).ravel()

    def filters(self) -> NDArray[np.uint8]:
        """The filters of the first stage as one picture, (height, width) or (height, width, 3).

        Of several paths, those of the first that has a filter bank, else a patch dictionary; mid-grey if there is
        none.
        """
        if self._first_stage is None:
            return np.full((1, 1), 127, np.uint8)
        return filter_mosaic(self._drawn)

    def maps(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """How strongly each filter of the first stage answers where, as one picture, uint8 (height, width).

        The maps are at the places of their filters in the picture of `filters`, at about 32 pixels a side, and as
        bright as the average of their sizes; the brightest point is white.
        """
        if self._first_stage is None:
            return np.full((1, 1), 127, np.uint8)
        found = np.abs(self._first_stage.transform(self._prepared(image)[None])[0])
        n_filters = len(self._drawn)
        found = found.reshape(-1, n_filters, *found.shape[1:]).sum(axis=0)  # a patch dictionary has two per unit
        factor = max(1, round(max(found.shape[1:]) / _MAP_SIDE))
        height, width = (length // factor for length in found.shape[1:])
        found = found[:, : height * factor, : width * factor]
        found = found.reshape(n_filters, height, factor, width, factor).mean(axis=(2, 4))
        n_columns = math.ceil(math.sqrt(n_filters))
        n_rows = -(-n_filters // n_columns)
        tiles = np.zeros((n_rows * n_columns, height + 1, width + 1), np.float32)
        tiles[:n_filters, :-1, :-1] = found / max(float(found.max()), np.finfo(np.float32).tiny)
        picture = tiles.reshape(n_rows, n_columns, height + 1, width + 1).swapaxes(1, 2)
        return (255 * picture.reshape(n_rows * (height + 1), -1)[:-1, :-1]).round().astype(np.uint8)

    def code_bars(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """64 numbers of 0–1 that summarize features: the root mean squares of as many parts, relative to the largest.

        Parameters
        ----------
        features : float32 (n_features,)
        """
        values = np.square(features, dtype=np.float64)
        edges = np.linspace(0, len(values), N_BARS + 1).astype(np.int64)
        sums = np.concatenate([[0.0], np.cumsum(values)])
        means = np.sqrt(np.maximum(np.diff(sums[edges]), 0) / np.maximum(np.diff(edges), 1))
        bars: NDArray[np.float32] = (means / max(float(means.max()), np.finfo(np.float64).tiny)).astype(np.float32)
        return bars

    def learn(
        self, images: Sequence[NDArray[Any]], *, random_state: int | None = 0, progress: Progress | None = None
    ) -> LiveFeatures:
        """Features of the same kind that are learned from these images, in some seconds.

        Dictionaries of patches, single stages of filters and the standardization are learned again. Deeper stages and
        dictionaries of SIFT would take minutes: they stay, and only their standardization is new.

        Parameters
        ----------
        images : sequence of images, as for `transform`
            Without labels; some hundred frames that show what will be recognized, and where.
        random_state : int, optional
        progress : Progress, optional
        """
        if not len(images):
            raise UsageError("there are no images to learn features from: add samples first")
        prepared = np.stack([self._prepared(image) for image in images])

        def learned(hierarchy: Hierarchy) -> Hierarchy:
            own = hierarchy.layers
            n_kept = 0
            if _is_deep(hierarchy):
                if not isinstance(own[-1], Standardize):
                    return hierarchy
                n_kept = len(own) - 1
            below, above = Hierarchy(own[:n_kept]), Hierarchy(own[n_kept:])
            maps = np.concatenate([below.transform(prepared[k : k + _BATCH]) for k in range(0, len(prepared), _BATCH)])
            made, _ = learn_filters(
                above, maps, learners=_LEARNER, n_patches=_PATCHES, random_state=random_state, progress=progress
            )
            return Hierarchy([*below, *made])

        layers = self.hierarchy.layers
        if len(layers) == 1 and isinstance(layers[0], Paths):
            hierarchy = Hierarchy([Paths([learned(path) for path in layers[0].hierarchies])])
        else:
            hierarchy = learned(self.hierarchy)
        return LiveFeatures(self.preprocessing, hierarchy)

    def save(self, path: str | PathLike[str]) -> None:
        """Write preprocessing and hierarchy to a file, which `load` reads."""
        arrays, header = self.hierarchy.to_state()
        model_file.write(path, arrays, {"preprocessing": self.preprocessing.to_state(), "hierarchy": header}, kind=KIND)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LiveFeatures:
        """Read a file of `save`; if it cannot be used, ModelFileError gives the reason in one sentence."""
        arrays, header = model_file.read(path, kind=KIND)
        with stored.in_file(path, "file of features"):
            with stored.part("preprocessing"):
                preprocessing = Preprocessing.from_state(stored.field(header, "preprocessing"))
            with stored.part("hierarchy"):
                hierarchy = Hierarchy.from_state(arrays, stored.field(header, "hierarchy", stored.Table()))
        return cls(preprocessing, hierarchy)

    @cached_property
    def _first_stage(self) -> Hierarchy | None:
        """The layers up to the first that has filters to look at, which is its last."""
        stages = [stage for kind in (FilterBank, PatchDictionary) for stage in _stages_up_to(kind, self.hierarchy)]
        return stages[0] if stages else None

    @property
    def _drawn(self) -> NDArray[np.float32]:
        assert self._first_stage is not None
        filters = self._first_stage.layers[-1].drawn_filters
        assert filters is not None
        return filters

    def _prepared(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """One image in the form that the hierarchy takes."""
        given = np.asarray(image)
        if given.dtype == np.uint8:
            given = given.astype(np.float32) / 255
            given = given[None] if given.ndim == 2 else given.transpose(2, 0, 1) if given.ndim == 3 else given
        given = as_array(given, name="pixels", axes=("channels", "height", "width"))
        if len(given) not in (1, 3):
            raise UsageError(f"an image has 1 or 3 channels, not {len(given)}")
        return self.preprocessing(given.astype(np.float32, copy=False))


def load_features(model: str | PathLike[str] | None = None) -> LiveFeatures:
    """The features that ship, or those of a model of `striate train`.

    Parameters
    ----------
    model : path, optional
    """
    if model is None:
        return LiveFeatures.load(SHIPPED)
    from striate.recognition import ImageClassifier

    classifier = ImageClassifier.load(model)
    return LiveFeatures(classifier.preprocessing_, classifier.hierarchy_)


def _is_deep(hierarchy: Hierarchy) -> bool:
    """Whether what it learns takes minutes: more than one bank of filters, or a dictionary of descriptors."""
    every = hierarchy.all_layers
    banks = sum(isinstance(layer, FilterBank) for layer in every)
    return banks > 1 or any(isinstance(layer, SparseCodes) for layer in every)


def _stages_up_to(kind: type[Layer], hierarchy: Hierarchy) -> Iterator[Hierarchy]:
    """For each path with a layer of this kind, its layers up to the first of them."""
    below: list[Layer] = []
    for layer in hierarchy:
        if layer.hierarchies:
            for inner in layer.hierarchies:
                for found in _stages_up_to(kind, inner):
                    yield Hierarchy([*below, *found])
            return
        below.append(layer)
        if isinstance(layer, kind):
            yield Hierarchy(below)
            return
