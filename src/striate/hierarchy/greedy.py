"""Greedy learning: filters on images, features, filters on features, and so on (the talk's phases 1 to 4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy.filter_bank import FilterBank, connection_sets
from striate.hierarchy.hierarchy import Hierarchy, real_images
from striate.hierarchy.layer import Layer
from striate.hierarchy.sparse_codes import SparseCodes
from striate.images.patches import sample_patches
from striate.images.preprocessing import contrast_range, white_of
from striate.learning import PSD, GaborFilters, RandomFilters, SparseCoding, TemplateFilters
from striate.parameters import Integer, Real, checked
from striate.progress import Progress
from striate.samples import check_finite

Learner = PSD | RandomFilters | GaborFilters | TemplateFilters

# Numbers in the patches of one stage: 256 MB. 50,000 patches of a first stage take a twentieth of it.
MAX_PATCH_FLOATS = 1 << 26
# Images per batch when patches of their maps are drawn.
BATCH = 64
# Sets of input maps in a sparse connection table: few enough that the filters of a set are learned together. Filters
# that are not learned have a set each, as in the paper: with 8 sets, two random stages are right on Caltech-101 by 2
# points less (validation).
CONNECTION_SETS = 8
# Patches from which the scale of filters is computed if they are not learned.
ENOUGH_FOR_SCALE = 2000
# Mini-batches for learning the dictionary of sparse codes.
DICTIONARY_BATCHES = 1500
# Patches that are kept to draw codes and reconstructions.
SHOWN = 256


@dataclass
class LearnedStage:
    """The learned filters of one filter bank, or the dictionary of one layer of sparse codes.

    Attributes
    ----------
    bank : FilterBank or SparseCodes
        With its filters or its dictionary.
    learners : list of PSD or others
        One, or one for each set of input maps of a sparse connection table.
    patches : float32 (n, fan_in · height · width)
        Some of the first learner's patches, to draw codes and reconstructions.
    """

    bank: FilterBank | SparseCodes
    learners: Sequence[Learner | SparseCoding]
    patches: NDArray[np.float32] = field(repr=False)


def learn_filters(
    hierarchy: Hierarchy,
    images: NDArray[np.float32],
    *,
    learners: Learner | Sequence[Learner],
    n_patches: int = 50_000,
    min_std: float = 0.1,
    random_state: int | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> tuple[Hierarchy, list[LearnedStage]]:
    """Fill a hierarchy's filter banks, first stage first, each learned on the features of those below it.

    Parameters
    ----------
    hierarchy : Hierarchy
        An architecture; existing filters and dictionaries are learned again.
    images : float32 (n_images, channels, height, width)
        Prepared images, without labels; a few thousand suffice for filters, however many there are.
    learners : PSD, RandomFilters, GaborFilters or TemplateFilters, or one for each filter bank
        Its parameters are used, with the bank's number of filters; it is not fitted itself. Dictionaries of sparse
        codes are always learned by `SparseCoding`.
    n_patches : int
        Patches for each stage, fewer where they would take more than 256 MB.
    min_std : float
        Patches with a standard deviation below this are flat and skipped. Of first-stage patches; above, a
        tenth of it, since pooled features vary less. It is for images that use the whole range of 0–1; where they use
        less than half of it, it is lowered in proportion.
    random_state : int, optional
        Of patches and filters.
    checkpoint : Checkpoint, optional
        Finished stages and the state of the current learner are saved there; a run that is started again continues
        from them, with the same bits as an uninterrupted one.

    Returns
    -------
    hierarchy : Hierarchy
        With filters.
    stages : list of LearnedStage

    Raises
    ------
    UsageError
        For an architecture that does not fit the images or cannot be learned, for images that are not finite real
        numbers, and for a parameter out of range.
    """
    progress = progress or Progress()
    n_patches = checked("n_patches", n_patches, Integer(low=1))
    min_std = checked("min_std", min_std, Real(low=0))
    random_state = checked("random_state", random_state, Integer(low=0) | None)
    if not isinstance(hierarchy, Hierarchy):
        raise UsageError(f"filters are learned for a Hierarchy, not for {hierarchy!r}")
    images = _prepared(images)
    waiting = iter(_one_each(learners, hierarchy))
    _check_learnable(hierarchy, images.shape[1:])
    min_std *= min(1.0, white_of(contrast_range(images)))
    n_learned = sum(isinstance(layer, FilterBank | SparseCodes) for layer in hierarchy)
    seeds = np.random.SeedSequence(random_state).spawn(n_learned)
    learned: list[Layer] = []
    stages: list[LearnedStage] = []
    for layer in hierarchy:
        if isinstance(layer, FilterBank | SparseCodes):
            number = len(stages) + 1
            source = _Source(
                Hierarchy(learned),
                images,
                number=number,
                n_patches=n_patches,
                seed=int(seeds[number - 1].generate_state(1)[0]),
                checkpoint=None if checkpoint is None else checkpoint.part(f"stage-{number}"),
                progress=progress,
            )
            if isinstance(layer, FilterBank):
                stage = _learn_bank(layer, source, next(waiting), min_std if number == 1 else 0.1 * min_std)
            else:
                stage = _learn_codes(layer, source)
            stages.append(stage)
            layer = stage.bank
        learned.append(layer)
    return Hierarchy(learned), stages


def _prepared(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images as float arrays, at least one of them, with nothing that is not finite."""
    images = real_images(images)
    if not len(images):
        raise UsageError("there are no images to learn filters from")
    if images.dtype not in (np.float32, np.float64):
        images = images.astype(np.float32)
    check_finite(images, "images")
    return images


def _one_each(learners: Learner | Sequence[Learner], hierarchy: Hierarchy) -> list[Learner]:
    """One learner per filter bank."""
    n_banks = len(hierarchy.filter_banks)
    each = list(learners) if isinstance(learners, Sequence) else [learners] * n_banks
    for learner in each:
        if not isinstance(learner, Learner):
            names = ", ".join(kind.__name__ for kind in Learner.__args__)
            raise UsageError(f"a learner of filters is {learner!r}; it must be one of {names}")
    if len(each) != n_banks:
        raise UsageError(f"there are {len(each)} learners for {n_banks} filter banks: give one for all, or one each")
    return each


def _check_learnable(hierarchy: Hierarchy, shape: tuple[int, int, int]) -> None:
    """Raise errors now that would otherwise occur after minutes of learning."""
    before = shape
    for number, (layer, after) in enumerate(zip(hierarchy, hierarchy.shapes(shape), strict=True), 1):
        where = f"{layer.notation!r}, layer {number} of {len(hierarchy)},"
        if isinstance(layer, FilterBank) and layer.size[0] != layer.size[1]:
            side = max(layer.size)
            raise UsageError(
                f"{where} cannot be learned, since patches are square: write "
                f"{replace(layer, size=(side, side), filters=None, table=None).notation}"
            )
        if isinstance(layer, SparseCodes) and before[0] == 1:
            raise UsageError(
                f"{where} codes what several maps have at a position, but one map comes in: "
                f"put SIFT16x16/6, MF4x4/2 or a filter bank before it"
            )
        before = after


@dataclass(frozen=True)
class _Source:
    """The data of a stage: the features of the layers below it, for a number of images."""

    below: Hierarchy
    images: NDArray[np.float32]
    number: int
    n_patches: int
    seed: int
    checkpoint: Checkpoint | None
    progress: Progress

    @property
    def n_maps(self) -> int:
        return self.below.output_shape(self.images.shape[1:])[0]

    def draw(self, side: int, n_patches: int, min_std: float) -> NDArray[np.float32]:
        """Patches of the maps, evenly over images, (n, n_maps · side · side) in random order.

        Raises
        ------
        UsageError
            If all patches are flat.
        """
        n_patches = max(1, min(n_patches, MAX_PATCH_FLOATS // (self.n_maps * side * side)))
        rng = np.random.default_rng(self.seed)
        images = self.images
        if not len(self.below):
            try:
                return sample_patches(images, n_patches, side, random_state=rng, min_std=min_std)
            except UsageError:
                raise self._flat(side) from None
        if len(images) > n_patches:
            images = images[np.sort(rng.choice(len(images), n_patches, replace=False))]
        drawn = []
        with self.progress.phase(f"stage {self.number}: patches of features", len(images), "images") as phase:
            for start in range(0, len(images), BATCH):
                maps = self.below.transform(images[start : start + BATCH])
                share = (start + len(maps)) * n_patches // len(images) - start * n_patches // len(images)
                if share:
                    with suppress(UsageError):  # a batch of flat images
                        drawn.append(sample_patches(maps, share, side, random_state=rng, min_std=min_std))
                phase.advance(len(maps))
        if not drawn:
            raise self._flat(side)
        patches = np.concatenate(drawn)
        return patches[rng.permutation(len(patches))]

    def _flat(self, side: int) -> UsageError:
        seen = "the images" if not len(self.below) else f"the output of {self.below}"
        return UsageError(
            f"stage {self.number} has nothing to learn from: {seen} are flat, without a patch of {side}×{side} that "
            "varies; see that the images show something, or leave out the flat ones"
        )


def _learn_bank(bank: FilterBank, source: _Source, learner: Learner, min_std: float) -> LearnedStage:
    """One bank, on the features of the layers below it."""
    n_inputs, is_learned = source.n_maps, isinstance(learner, PSD)
    sets = np.arange(n_inputs)[None]
    if bank.fan_in is not None and bank.fan_in < n_inputs:
        n_sets = max(1, min(CONNECTION_SETS, bank.n_maps // 2)) if is_learned else bank.n_maps
        sets = connection_sets(n_sets, n_inputs, bank.fan_in, random_state=source.seed)
    n_patches = source.n_patches if is_learned else min(source.n_patches, ENOUGH_FOR_SCALE)
    sizes = [len(part) for part in np.array_split(np.arange(bank.n_maps), len(sets))]
    patches = source.draw(bank.size[0], n_patches, min_std)
    by_map = patches.reshape(len(patches), n_inputs, -1)
    name = type(learner).__name__.removesuffix("Filters")
    learners: list[Learner] = []
    for index, (seen, size) in enumerate(zip(sets, sizes, strict=True)):
        part = None if source.checkpoint is None else source.checkpoint.part(f"set-{index + 1}")
        of = f", set {index + 1} of {len(sets)}" if 1 < len(sets) <= CONNECTION_SETS else ""
        fresh = clone(learner).set_params(n_components=size, random_state=source.seed % 2**31 + index)
        rows = patches if len(sets) == 1 else by_map[:, seen].reshape(len(patches), -1)
        phase_name = f"stage {source.number}: {name} filters{of}"
        fresh.fit(rows, checkpoint=part, progress=source.progress, phase_name=phase_name)
        learners.append(fresh)
    filters, bias, gain = (
        np.concatenate(parts) for parts in zip(*(one.convolution_filters() for one in learners), strict=True)
    )
    filled = bank.with_filters(
        filters.reshape(bank.n_maps, sets.shape[1], *bank.size),
        bias=bias,
        gain=gain,
        table=None if len(sets) == 1 else np.repeat(sets, sizes, axis=0),
    )
    shown = by_map[:SHOWN, sets[0]].reshape(min(SHOWN, len(patches)), -1)
    return LearnedStage(filled, learners, shown.copy())


def _learn_codes(layer: SparseCodes, source: _Source) -> LearnedStage:
    """A dictionary for the descriptors of the layers below."""
    descriptors = source.draw(1, source.n_patches, 0.0)
    learner = SparseCoding(
        layer.n_components,
        sparsity=layer.sparsity,
        max_batches=DICTIONARY_BATCHES,
        random_state=source.seed % 2**31,
    )
    learner.fit(
        descriptors,
        checkpoint=source.checkpoint,
        progress=source.progress,
        phase_name=f"stage {source.number}: a dictionary",
    )
    dictionary = learner.components_.astype(np.float32)
    return LearnedStage(layer.with_dictionary(dictionary), [learner], descriptors[:SHOWN].copy())
