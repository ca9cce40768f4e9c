"""``striate filters FOLDER``: learn filters without labels, and draw them."""

from __future__ import annotations

from math import isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._options import MOST, MOST_PIXELS, MOST_UNITS, AsJson, Quiet, Seed, Threads, emit, require_memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.learning import PSD, ConvolutionalPSD, RandomFilters, SparseCoding
    from striate.progress import Progress

_WITH_ENCODER = ("psd", "conv-psd", "topographic")


def filters(
    folder: Annotated[Path, typer.Argument(help="A folder of images, with or without classes.", show_default=False)],
    n: Annotated[int, typer.Option("--n", min=1, max=MOST_UNITS, help="Number of filters.")] = 256,
    size: Annotated[int, typer.Option(min=2, max=MOST_PIXELS, help="Height and width of a filter, in pixels.")] = 12,
    learner: Annotated[str, typer.Option(help="psd, conv-psd, topographic, sparse-coding or random.")] = "psd",
    encoder: Annotated[str, typer.Option(help="The encoder of PSD: tanh, linear, shrinkage, lista or lcod.")] = "tanh",
    sparsity: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Weight of the L1 term, or of the pools.", show_default="1; 2 for conv-psd, 3 for topographic"
        ),
    ] = None,
    patches: Annotated[int, typer.Option(min=1, max=MOST, help="Patches to learn from.")] = 100_000,
    out: Annotated[Path, typer.Option(help="The figure to write, .png; the arrays go beside it, .npz.")] = Path(
        "filters.png"
    ),
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Learn filters alone, and draw them: encoder left, decoder right, or the dictionary where there is no encoder."""
    from striate.cli._images import patches_of_folder
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import ARRAYS, FIGURE, Output, beside, check_files
    from striate.errors import UsageError
    from striate.images.names import printable
    from striate.progress import RichProgress

    if learner not in (*_WITH_ENCODER, "sparse-coding", "random"):
        raise UsageError(f"--learner {learner}: there are psd, conv-psd, topographic, sparse-coding and random.")
    if encoder != "tanh" and learner not in _WITH_ENCODER:
        raise UsageError(f"--encoder {encoder} is trained by PSD: leave out --learner {learner}.")
    arrays_file = beside(out, ".npz", FIGURE)
    check_files(Output("--out", out, FIGURE), Output("the file of the arrays", arrays_file, ARRAYS), inputs=[folder])
    progress, left_out = RichProgress(quiet=quiet), LeftOut()
    # A convolution learns from crops, which show how filters continue beside each other.
    context = 3 if learner == "conv-psd" else 1
    rows, preprocessing = patches_of_folder(folder, patches, size, seed, progress, left_out, context=context)
    shape = n, preprocessing.shape[0], size, size
    require_memory(n, prod(shape[1:]))
    found = _learned(learner, shape, rows, sparsity, encoder, seed, progress)
    sheet = getattr(found, "sheet_", None)
    _write(_arrays(found, shape), out, arrays_file, columns=None if sheet is None else sheet.columns_shown)
    seconds = sum(record.seconds for record in progress.records)
    usage = getattr(found, "usage_", None)
    active = None if usage is None else float(usage.mean())
    result = {
        "picture": str(out),
        "arrays": str(arrays_file),
        "learner": learner,
        "encoder": encoder if learner in _WITH_ENCODER else None,
        "n_filters": n,
        "size": size,
        "sheet": None if sheet is None else list(sheet.shape),
        "batches": getattr(found, "n_batches_", 0),
        "active_fraction": active,
        "seconds": seconds,
        **left_out.for_json(),
    }
    how = "" if active is None else f", {active:.0%} active"
    text = f"{n} filters of {size}×{size} in {seconds:.0f} s{how}: {printable(out)}, {printable(arrays_file)}"
    emit(result, as_json, f"{text}\n{left_out.text()}")


def _learned(
    learner: str,
    shape: tuple[int, int, int, int],
    rows: NDArray[np.float32],
    sparsity: float | None,
    encoder: str,
    seed: int,
    progress: Progress,
) -> PSD | ConvolutionalPSD | SparseCoding | RandomFilters:
    from striate.learning import PSD, ConvolutionalPSD, RandomFilters, SparseCoding, TopographicPSD

    n, channels, size, _ = shape
    given: dict[str, Any] = {} if sparsity is None else {"sparsity": sparsity}
    if learner == "conv-psd":
        side = isqrt(rows.shape[1] // channels)
        images = rows.reshape(-1, channels, side, side)
        convolutional = ConvolutionalPSD(n, size, crop=side, encoder=encoder, random_state=seed, **given)
        return convolutional.fit(images, progress=progress)
    if learner == "topographic":
        return TopographicPSD(n, encoder=encoder, random_state=seed, **given).fit(rows, progress=progress)
    sparsity = 1.0 if sparsity is None else sparsity
    if learner == "psd":
        return PSD(n, sparsity=sparsity, encoder=encoder, random_state=seed).fit(rows, progress=progress)
    if learner == "random":
        return RandomFilters(n, random_state=seed).fit(rows, progress=progress)
    rows -= rows.mean(axis=1, keepdims=True)
    scale = max(float(rows.std()), 1e-12)  # so that the sparsity means the same as for PSD
    return SparseCoding(n, sparsity=sparsity, random_state=seed).fit(rows / scale, progress=progress)


def _arrays(
    found: PSD | ConvolutionalPSD | SparseCoding | RandomFilters, shape: tuple[int, ...]
) -> dict[str, NDArray[Any]]:
    """The arrays of the file by their names; filters are (n, channels, height, width)."""
    arrays = {"decoder": found.components_.reshape(shape)}
    if hasattr(found, "encoder_"):
        arrays["encoder"] = found.encoder_.reshape(shape)
        if getattr(found, "encoder", "tanh") == "tanh":
            arrays |= {"bias": found.encoder_bias_, "gain": found.gain_}
    return arrays


def _write(arrays: dict[str, Any], figure: Path, arrays_file: Path, *, columns: int | None = None) -> None:
    """Draw encoder and decoder side by side, and write the arrays; neither file appears before both are written.

    `columns` are the filters per row: a sheet is drawn as it is laid out.
    """
    import numpy as np
    from PIL import Image

    from striate.figures import filter_mosaic
    from striate.whole_file import whole_file

    mosaics = [filter_mosaic(arrays[part], columns=columns) for part in ("encoder", "decoder") if part in arrays]
    gap = np.full((len(mosaics[0]), 8, *mosaics[0].shape[2:]), 255, np.uint8)
    side_by_side = mosaics if len(mosaics) == 1 else [mosaics[0], gap, mosaics[1]]
    with whole_file(figure) as drawn, whole_file(arrays_file) as stored:
        Image.fromarray(np.concatenate(side_by_side, axis=1)).save(drawn, format="PNG")
        drawn.flush()
        np.savez_compressed(stored, **arrays)
