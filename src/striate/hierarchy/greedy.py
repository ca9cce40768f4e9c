"""Greedy learning: filters on images, features, filters on features, and so on (the talk's phases 1 to 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy.filter_bank import FilterBank
from striate.hierarchy.hierarchy import Hierarchy, real_images
from striate.hierarchy.layer import Layer, LearnedStage
from striate.hierarchy.paths import Paths
from striate.hierarchy.sheet_pooling import SheetPooling
from striate.images.patches import sample_patches
from striate.images.preprocessing import contrast_range, white_of
from striate.learning import PSD, ConvolutionalPSD, GaborFilters, RandomFilters, TemplateFilters, TopographicPSD
from striate.parameters import Integer, Real, checked
from striate.progress import Progress
from striate.samples import check_finite, evenly_spread

Learner = PSD | ConvolutionalPSD | RandomFilters | GaborFilters | TemplateFilters

# Numbers in the patches of one stage: 256 MB. 50,000 patches of a first stage take a twentieth of it.
MAX_PATCH_FLOATS = 1 << 26
# Images per batch when patches of their maps are drawn.
BATCH = 64


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
    """Learn a hierarchy's filters, units and dictionaries, first stage first, each on the features of those below it.

    Parameters
    ----------
    hierarchy : Hierarchy
        An architecture; existing filters and dictionaries are learned again.
    images : float32 (n_images, channels, height, width)
        Prepared images, without labels; a few thousand suffice for filters, however many there are.
    learners : PSD, ConvolutionalPSD, RandomFilters, GaborFilters or TemplateFilters, or one for each filter bank, path
        after path
        Its parameters are used, with the bank's number and size of filters; it is not fitted itself. A
        `TopographicPSD`, which is a PSD, takes the sheet of a `SheetPooling` behind the bank. Other layers have
        a learner of their own: dictionaries of sparse codes are learned by `SparseCoding`, and those of patches as
        their notation says.
    n_patches : int
        Patches for each stage, fewer where they would take more than 256 MB; `ConvolutionalPSD` learns from crops with
        as many pixels as that.
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
        Those of `Paths` one after the other.

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
    hierarchy.check_learnable(images.shape[1:])
    min_std *= min(1.0, white_of(contrast_range(images)))

    def source_of(
        below: list[Layer], layer: Layer, following: Sequence[Layer], number: int, name: str, seed: int, part: str
    ) -> _Source:
        return _Source(
            Hierarchy(below),
            images,
            number=number,
            name=name,
            n_patches=n_patches,
            min_std=min_std if number == 1 else 0.1 * min_std,
            learner=_for_sheet(next(waiting), following) if isinstance(layer, FilterBank) else None,
            seed=seed,
            checkpoint=None if checkpoint is None else checkpoint.part(part),
            progress=progress,
        )

    return _learn(hierarchy, source_of, np.random.SeedSequence(random_state))


def _learn(
    hierarchy: Hierarchy,
    source_of: Callable[..., _Source],
    seeds: np.random.SeedSequence,
    *,
    below: Sequence[Layer] = (),
    number: int = 1,
    path: Sequence[int] = (),
) -> tuple[Hierarchy, list[LearnedStage]]:
    """Learn the layers of a hierarchy, or of a path on top of the layers below it.

    Parameters
    ----------
    hierarchy : Hierarchy
    source_of : function
        Of the layers below, the layer, the layers behind it, its number, its name, its seed, and the name of its part
        of the checkpoint.
    seeds : SeedSequence
        One for each learned layer is spawned of it, and of that of paths one for each path.
    below : sequence of Layer
        Learned ones; they are not learned again.
    number : int
        Of the first learned layer.
    path : sequence of int
        The number of the path, from 1, behind those that it is inside of; empty for the whole hierarchy.
    """
    learned: list[Layer] = []
    stages: list[LearnedStage] = []
    each = iter(seeds.spawn(sum(layer.is_learnable for layer in hierarchy)))
    for place, layer in enumerate(hierarchy, 1):
        if not layer.is_learnable:
            learned.append(layer)
            continue
        seed, before = next(each), [*below, *learned]
        if layer.hierarchies:
            made = []
            for k, inner in enumerate(layer.hierarchies, 1):
                own = seed.spawn(1)[0]
                inside = (*path, k) if isinstance(layer, Paths) else path
                made.append(_learn(inner, source_of, own, below=before, number=number, path=inside))
            learned.append(layer.with_hierarchies([found for found, _ in made]))
            stages += [stage for _, its_stages in made for stage in its_stages]
            number += max(len(its_stages) for _, its_stages in made)
        else:
            name = "".join(f"path {k}, " for k in path) + f"stage {number}"
            part = "-".join([*(f"path-{k}" for k in path), f"stage-{number}"])
            stage = layer.learn(
                source_of(before, layer, hierarchy.layers[place:], number, name, int(seed.generate_state(1)[0]), part)
            )
            stages.append(replace(stage, name=name))
            learned.append(stage.bank)
            number += 1
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


def _for_sheet(learner: Learner, following: Sequence[Layer]) -> Learner:
    """Filters on a sheet are learned on the one that the next layer pools over."""
    if not (isinstance(learner, TopographicPSD) and following and isinstance(following[0], SheetPooling)):
        return learner
    options = following[0].sheet.to_state()
    made: Learner = clone(learner).set_params(sheet=options.pop("shape"), **options)
    return made


@dataclass
class _Source:
    """See `Source`, which describes it."""

    below: Hierarchy
    images: NDArray[np.float32]
    number: int
    name: str
    n_patches: int
    min_std: float
    learner: Learner | None
    seed: int
    checkpoint: Checkpoint | None
    progress: Progress

    @property
    def n_maps(self) -> int:
        return self.below.output_shape(self.images.shape[1:])[0]

    @property
    def size(self) -> tuple[int, int]:
        return self.below.output_shape(self.images.shape[1:])[1:]

    def features(self, n_images: int) -> NDArray[np.float32]:
        """See `Source.features`."""
        size = math.prod(self.below.output_shape(self.images.shape[1:]))
        n = max(1, min(n_images, len(self.images), MAX_PATCH_FLOATS // size))
        chosen = self.images[evenly_spread(len(self.images), n)]
        made = []
        with self.progress.phase(f"{self.name}: features", n, "images") as phase:
            for start in range(0, n, BATCH):
                made.append(self.below.transform(chosen[start : start + BATCH]))
                phase.advance(len(made[-1]))
        return np.concatenate(made)

    def draw(self, side: int, n_patches: int, min_std: float) -> NDArray[np.float32]:
        """See `Source.draw`."""
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
        with self.progress.phase(f"{self.name}: patches of features", len(images), "images") as phase:
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
            f"{self.name} has nothing to learn from: {seen} are flat, without a patch of {side}×{side} that "
            "varies; see that the images show something, or leave out the flat ones"
        )
