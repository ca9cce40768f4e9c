"""``striate restore IMAGES…``: images without noise, or with missing pixels filled in, by convolutional codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._options import AsJson, Images, Quiet, Threads, emit

if TYPE_CHECKING:
    from numpy.typing import NDArray


def restore(
    images: Images,
    filters: Annotated[
        Path | None,
        typer.Option(
            help="Filters (n, height, width) or (n, channels, height, width), .npy or .npz, as striate filters writes.",
            show_default="those that ship, for photographs",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="An image that is black where pixels are missing: they are filled in, and all others kept.",
            show_default="remove noise",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Standard deviation of the noise; white is 1.", show_default="estimated for each image"
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Name of the array in an .npz file.", show_default="the only, or decoder")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the restored images, NAME.png.")] = Path("restored"),
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Remove noise from images; or, with --mask, fill in missing pixels."""
    import time

    from striate.cli._convolutional import filters_of
    from striate.cli._images import named_images, read_or_skip
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import check_files
    from striate.coding import denoise, inpaint, natural_filters
    from striate.errors import UsageError
    from striate.images.names import printable
    from striate.progress import RichProgress

    if mask is not None and noise is not None:
        raise UsageError("--noise is for images without --mask: known pixels are kept as they are.")
    check_files(inputs=[filters, mask, *images])
    left_out = LeftOut()
    named = named_images(images, left_out)
    targets = _targets(out, list(named.names))
    prepared = natural_filters() if filters is None else filters_of(filters, key, "--filters")
    known = None if mask is None else _known(mask)
    started = time.perf_counter()
    written = []
    with RichProgress(quiet=quiet).phase("images", total=len(named), unit="images") as phase:
        for number, target in enumerate(targets):
            phase.advance()
            image = read_or_skip(named, number, left_out, color=True if prepared.n_channels == 3 else None)
            if image is None:
                continue
            if known is None:
                found = denoise(image, prepared, noise=noise)
            elif known.shape == image.shape[1:]:
                found = inpaint(image, known, prepared)
            else:
                raise UsageError(
                    f"{mask} is {_size(known)}, but {printable(named.names[number])} is {_size(image)}: "
                    "give images of the size of the mask."
                )
            _write(target, found)
            written.append(target)
    if not written:
        raise UsageError("no image could be read: give others.")
    result = {
        "out": out,
        "images": written,
        "missing_fraction": None if known is None else float(1 - known.mean()),
        "n_filters": prepared.n_maps,
        "seconds": time.perf_counter() - started,
        **left_out.for_json(),
    }
    done = "without noise" if known is None else f"with {1 - known.mean():.1%} of the pixels filled in"
    emit(result, as_json, f"{len(written):,} images {done}: {printable(out)}\n{left_out.text()}")


def _targets(out: Path, names: list[str]) -> list[Path]:
    """The files to write, one for each image."""
    from striate.cli._outputs import FIGURE, Output, check_files
    from striate.errors import UsageError

    check_files(Output("--out", out, folder=True))
    targets = [out / f"{Path(name).stem}.png" for name in names]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise UsageError(f"two images would be written as {target}: restore them one after another.")
    out.mkdir(exist_ok=True)
    check_files(*(Output("an image", target, FIGURE) for target in targets), inputs=map(Path, names))
    return targets


def _known(path: Path) -> NDArray[Any]:
    """Which pixels are known, (height, width)."""
    from striate.errors import UnreadableImage, UsageError
    from striate.images import read_image

    try:
        known = read_image(path, color=False)[0] > 0.5
    except UnreadableImage as error:
        raise UsageError(f"--mask {path}: {error.reason}; give an image.") from None
    if not known.any():
        raise UsageError(f"--mask {path} is black everywhere: make it white where pixels are known.")
    return known


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[-2]}×{image.shape[-1]}"


def _write(path: Path, image: NDArray[Any]) -> None:
    """Write an image (1 or 3, height, width) whose white is 1."""
    import numpy as np
    from PIL import Image

    from striate.whole_file import whole_file

    pixels = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    with whole_file(path) as file:
        Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
            file, format="PNG"
        )
