"""``striate filters FOLDER``: learn filters without labels, and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli._options import AsJson, Quiet, Seed, Threads, emit


def filters(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, with or without classes.", show_default=False)],
    n: Annotated[int, typer.Option("--n", min=1, help="How many filters.")] = 256,
    size: Annotated[int, typer.Option(min=2, help="Height and width of a filter, in pixels.")] = 12,
    sparsity: Annotated[float, typer.Option(min=0.0, help="Weight of the L1 term.")] = 1.0,
    patches: Annotated[int, typer.Option(min=1, help="Patches to learn from.")] = 100_000,
    out: Annotated[Path, typer.Option(help="The picture to write; the arrays go beside it, .npz.")] = Path(
        "filters.png"
    ),
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Learn filters alone, and draw them: encoder left, decoder right."""
    import numpy as np
    from PIL import Image

    from striate.cli._pictures import patches_of_folder
    from striate.cli._training import check_writable
    from striate.errors import UsageError
    from striate.figures import filter_mosaic
    from striate.learning import PSD
    from striate.progress import RichProgress
    from striate.whole_file import whole_file

    check_writable(out)
    arrays_file = out.with_suffix(".npz")
    if arrays_file == out:
        raise UsageError(f"{out} is for the picture: give a name that ends in .png.")
    progress = RichProgress(quiet=quiet)
    rows, preprocessing = patches_of_folder(folder, patches, size, seed, progress)
    learner = PSD(n, sparsity=sparsity, random_state=seed).fit(rows, progress=progress)
    shape = (n, preprocessing.shape[0], size, size)
    pictures = [filter_mosaic(part.reshape(shape)) for part in (learner.encoder_, learner.components_)]
    gap = np.full((len(pictures[0]), 8, *pictures[0].shape[2:]), 255, np.uint8)
    with whole_file(out) as file:
        Image.fromarray(np.concatenate([pictures[0], gap, pictures[1]], axis=1)).save(file, format="PNG")
    with whole_file(arrays_file) as file:
        np.savez_compressed(
            file,
            encoder=learner.encoder_.reshape(shape),
            decoder=learner.components_.reshape(shape),
            bias=learner.encoder_bias_,
            gain=learner.gain_,
        )
    seconds = sum(record.seconds for record in progress.records)
    result = {
        "picture": str(out),
        "arrays": str(arrays_file),
        "n_filters": n,
        "size": size,
        "batches": learner.n_batches_,
        "active_fraction": learner.active_fraction_,
        "seconds": seconds,
    }
    text = (
        f"{n} filters of {size}×{size} in {seconds:.0f} s, {learner.active_fraction_:.0%} active: {out}, {arrays_file}"
    )
    emit(result, as_json, text)
