"""``striate code --convolutional``: code maps of whole images, for filters that are given or learned from them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.cli._left_out import LeftOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from striate.coding import PreparedFilters, SparseMaps
    from striate.images import ImageCollection
    from striate.progress import Progress

__all__ = ["code_images", "filters_of"]

_LEARNED_FROM = 500  # images at most
_CROP = 128  # side of the squares that filters are learned from, in pixels
_SHARE = 0.1  # of an image's largest correlation with a filter, from which on its code is empty


class _Coded(NamedTuple):
    """The code maps of an image with their certificate."""

    name: str
    maps: SparseMaps
    sparsity: float
    objective: float
    gap: float


def filters_of(path: Path, key: str | None, option: str) -> PreparedFilters:
    """Filters from a file, for images of one or three channels; an option names them in messages."""
    from striate.coding import PreparedFilters
    from striate.coding.signal_file import read_array
    from striate.errors import UsageError

    if not path.exists():
        raise UsageError(f"{option} {path}: there is no such file; give filters as .npy or .npz.")
    try:
        prepared = PreparedFilters(read_array(path, key, default="decoder"))
    except UsageError as error:
        raise UsageError(f"{option} {path}: {error}") from None
    if prepared.n_channels not in (1, 3):
        raise UsageError(f"{option} {path}: filters of {prepared.n_channels} channels, but images have 1 or 3.")
    return prepared


def code_images(
    images: Path,
    dictionary: Path | None,
    out: Path,
    *,
    n: int,
    size: int,
    batches: int,
    key: str | None,
    sparsity: float | None,
    positive: bool,
    tolerance: float | None,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, Any], str]:
    """Code every image behind local contrast normalization, and write the maps; the result as JSON has it, and as text.

    Without a dictionary, filters are learned from the images, and written beside the maps. The archive has
    ``coordinates`` (n, 4), which are image, map, row and column, their ``values`` (n,), and for each image its
    ``names``, ``sparsity`` and the ``shapes`` (n_images, 3) of its maps.
    """
    from striate.cli._images import named_images, read_or_skip
    from striate.cli._outputs import ARRAYS, Output, beside, check_files
    from striate.errors import UsageError
    from striate.images import local_contrast_normalization
    from striate.images.names import printable

    started, left_out = time.perf_counter(), LeftOut()
    filters_file = beside(out, ".dictionary.npy", ARRAYS) if dictionary is None else dictionary
    learned = [Output("the file of the dictionary", filters_file)] if dictionary is None else []
    check_files(Output("--out", out, ARRAYS), *learned, inputs=[images, dictionary])
    if dictionary is not None:
        prepared = filters_of(dictionary, key, "--dictionary")
    named = named_images([images], left_out)
    if dictionary is None:
        prepared, sparsity = _learned(named, n, size, batches, sparsity, positive, seed, progress)
    coded = []
    with progress.phase("images", total=len(named), unit="images") as phase:
        for number in range(len(named)):
            image = read_or_skip(named, number, left_out, color=prepared.n_channels == 3)
            if image is not None:
                image = local_contrast_normalization(image)
                coded.append(_coded(named.names[number], image, prepared, sparsity, positive, tolerance))
            phase.advance()
    if not coded:
        raise UsageError(f"{images}: no image could be read: give others.")
    _write(out, coded, None if dictionary is not None else (filters_file, prepared))
    import numpy as np

    n_active = sum(len(one.maps.values) for one in coded)
    n_coefficients = sum(int(np.prod(one.maps.shape)) for one in coded)
    result = {
        "codes": out,
        "dictionary": filters_file,
        "n_images": len(coded),
        "n_components": prepared.n_maps,
        "sparsity": [one.sparsity for one in coded],
        "active_fraction": n_active / n_coefficients,
        "objective": float(np.mean([one.objective for one in coded])),
        "largest_relative_gap": max(one.gap for one in coded),
        "seconds": time.perf_counter() - started,
        **left_out.for_json(),
    }
    text = (
        f"code maps of {len(coded):,} images for {prepared.n_maps} filters, {result['active_fraction']:.2%} active, "
        f"exact to {result['largest_relative_gap']:.0e}: {printable(out)}, {printable(filters_file)}\n{left_out.text()}"
    )
    return result, text


class _Normalized:
    """Grey images behind local contrast normalization, which are read when they are asked for."""

    def __init__(self, named: ImageCollection, numbers: Sequence[int]) -> None:
        self._named, self._numbers = named, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> NDArray[np.float32]:
        from striate.images import local_contrast_normalization

        return local_contrast_normalization(self._named.read(self._numbers[place], color=False))


def _learned(
    named: ImageCollection,
    n: int,
    size: int,
    batches: int,
    sparsity: float | None,
    positive: bool,
    seed: int,
    progress: Progress,
) -> tuple[PreparedFilters, float]:
    """Filters that are learned from the images, and their sparsity."""
    from striate.cli._options import require_memory
    from striate.coding import PreparedFilters
    from striate.errors import UsageError
    from striate.learning import ConvolutionalSparseCoding
    from striate.samples import evenly_spread

    require_memory(n, n * (2 * size - 1) ** 2)  # the statistics of the codes
    chosen = evenly_spread(len(named), _LEARNED_FROM)
    sides = {int(number): side for number in chosen if (side := _shorter_side(named, int(number))) is not None}
    large = [number for number, side in sides.items() if side >= size]
    if not large:
        raise UsageError(f"no image that can be read has {size}×{size} pixels: give others, or a smaller --size.")
    learner = ConvolutionalSparseCoding(
        n, size, sparsity="auto" if sparsity is None else sparsity, positive=positive, max_batches=batches,
        crop=min(_CROP, *(sides[number] for number in large)), random_state=seed,
    )  # fmt: skip
    learner.fit(_Normalized(named, large), progress=progress)
    return PreparedFilters(learner.components_), learner.sparsity_


def _shorter_side(named: ImageCollection, number: int) -> int | None:
    """Of an image, in pixels; None if the image cannot be read."""
    from striate.errors import UnreadableImage

    try:
        return min(named.read(number, color=False).shape[1:])
    except UnreadableImage:
        return None


def _coded(
    name: str,
    image: NDArray[np.float32],
    filters: PreparedFilters,
    sparsity: float | None,
    positive: bool,
    tolerance: float | None,
) -> _Coded:
    import numpy as np

    from striate.coding import infer_convolutional
    from striate.errors import UsageError
    from striate.images.names import printable

    try:
        if sparsity is None:
            largest = float(np.abs(filters.correlate(image)).max())
            sparsity = _SHARE * largest if largest > 0 else 1.0
        found = infer_convolutional(
            image, filters, sparsity, positive=positive, tolerance=tolerance, sparse_output=True, info=True
        )
    except UsageError as error:
        raise UsageError(f"{printable(name)}: {error}") from None
    return _Coded(name, found.codes, sparsity, float(found.objective[0]), float(found.relative_gap[0]))


def _write(out: Path, coded: list[_Coded], learned: tuple[Path, PreparedFilters] | None) -> None:
    """Write the maps, and filters that were learned; neither file appears before both are complete."""
    import numpy as np

    from striate.whole_file import whole_file

    places = [np.insert(one.maps.coordinates.astype(np.int32), 0, number, axis=1) for number, one in enumerate(coded)]
    with ExitStack() as files:
        if learned is not None:
            opened = files.enter_context(whole_file(learned[0]))
            np.save(opened, learned[1].filters)
            opened.flush()
        file = files.enter_context(whole_file(out))
        np.savez_compressed(
            file,
            coordinates=np.concatenate(places),
            values=np.concatenate([one.maps.values for one in coded]),
            shapes=np.array([one.maps.shape for one in coded], np.int64),
            sparsity=np.array([one.sparsity for one in coded]),
            names=np.array([one.name for one in coded]),
        )
