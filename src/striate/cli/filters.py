"""``striate filters FOLDER``: learn filters without labels, and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import MOST, MOST_PIXELS, MOST_UNITS, AsJson, Quiet, Seed, Threads, emit, require_memory


def filters(
    folder: Annotated[Path, typer.Argument(help="A folder of images, with or without classes.", show_default=False)],
    n: Annotated[int, typer.Option("--n", min=1, max=MOST_UNITS, help="How many filters.")] = 256,
    size: Annotated[int, typer.Option(min=2, max=MOST_PIXELS, help="Height and width of a filter, in pixels.")] = 12,
    learner: Annotated[str, typer.Option(help="psd, sparse-coding or random.")] = "psd",
    encoder: Annotated[
        str, typer.Option(help="What PSD predicts codes with: tanh, linear, shrinkage, lista or lcod.")
    ] = "tanh",
    sparsity: Annotated[float, typer.Option(min=0.0, help="Weight of the L1 term.")] = 1.0,
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
    import numpy as np
    from PIL import Image

    from striate.cli._images import patches_of_folder
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import ARRAYS, FIGURE, Output, beside, check_files
    from striate.errors import UsageError
    from striate.figures import filter_mosaic
    from striate.images.names import printable
    from striate.learning import PSD, RandomFilters, SparseCoding
    from striate.progress import RichProgress
    from striate.whole_file import whole_file

    if learner not in ("psd", "sparse-coding", "random"):
        raise UsageError(f"--learner {learner}: there are psd, sparse-coding and random.")
    if encoder != "tanh" and learner != "psd":
        raise UsageError(f"--encoder {encoder} is trained by PSD: leave out --learner {learner}.")
    arrays_file = beside(out, ".npz", FIGURE)
    check_files(Output("--out", out, FIGURE), Output("the file of the arrays", arrays_file, ARRAYS), inputs=[folder])
    progress = RichProgress(quiet=quiet)
    left_out = LeftOut()
    rows, preprocessing = patches_of_folder(folder, patches, size, seed, progress, left_out)
    require_memory(n, rows.shape[1])
    shape = (n, preprocessing.shape[0], size, size)
    found: PSD | SparseCoding | RandomFilters
    if learner == "psd":
        found = PSD(n, sparsity=sparsity, encoder=encoder, random_state=seed).fit(rows, progress=progress)
    elif learner == "random":
        found = RandomFilters(n, random_state=seed).fit(rows, progress=progress)
    else:
        rows -= rows.mean(axis=1, keepdims=True)
        scale = max(float(rows.std()), 1e-12)  # so that a sparsity means the same as to PSD
        found = SparseCoding(n, sparsity=sparsity, random_state=seed).fit(rows / scale, progress=progress)
    arrays: dict[str, Any] = {"decoder": found.components_.reshape(shape)}
    if not isinstance(found, SparseCoding):
        arrays["encoder"] = found.encoder_.reshape(shape)
        if encoder == "tanh":
            arrays |= {"bias": found.encoder_bias_, "gain": found.gain_}
    images = [filter_mosaic(arrays[part]) for part in ("encoder", "decoder") if part in arrays]
    gap = np.full((len(images[0]), 8, *images[0].shape[2:]), 255, np.uint8)
    side_by_side = [images[0]] if len(images) == 1 else [images[0], gap, images[1]]
    with whole_file(out) as drawn, whole_file(arrays_file) as stored:  # neither appears before both are written
        Image.fromarray(np.concatenate(side_by_side, axis=1)).save(drawn, format="PNG")
        drawn.flush()
        np.savez_compressed(stored, **arrays)
    seconds = sum(record.seconds for record in progress.records)
    active = None if isinstance(found, RandomFilters) else float(found.usage_.mean())
    result = {
        "picture": str(out),
        "arrays": str(arrays_file),
        "learner": learner,
        "encoder": encoder if learner == "psd" else None,
        "n_filters": n,
        "size": size,
        "batches": 0 if isinstance(found, RandomFilters) else found.n_batches_,
        "active_fraction": active,
        "seconds": seconds,
        **left_out.for_json(),
    }
    how = "" if active is None else f", {active:.0%} active"
    text = f"{n} filters of {size}×{size} in {seconds:.0f} s{how}: {printable(out)}, {printable(arrays_file)}"
    emit(result, as_json, f"{text}\n{left_out.text()}")
