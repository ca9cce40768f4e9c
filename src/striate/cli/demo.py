"""``striate demo``: training on digits that are part of the package, in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from striate.cli._options import AsJson, Quiet, Seed, Threads, emit

# Numbers of labels at which accuracy is measured; 1,000 of the 5,000 digits are held out.
LABEL_COUNTS = (100, 1000, 4000)


def demo(
    out: Annotated[Path, typer.Option(help="The folder for model and report.")] = Path("striate-demo"),
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Learn digits from few labels, in a minute, and write a report.

    Filters are learned from 4,000 digits without their labels. Then classifiers are learned from 100, 1,000 and all
    4,000 labels, and tested on 1,000 other digits, beside the same classifier on raw pixels.
    """
    from striate.cli._training import Run
    from striate.errors import UsageError
    from striate.images import as_images, load_mnist_digits
    from striate.images.names import printable
    from striate.recognition import ImageClassifier, split_images

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--out {out}: cannot be made a folder, {reason}: choose another place.") from None
    run = Run(out / "digits.safetensors", out / "report.html", quiet=quiet)
    digits, labels = load_mnist_digits()
    images = as_images(digits, labels)
    split = split_images(images, random_state=seed)
    result = run.train(
        ImageClassifier(random_state=seed), images, split, title="Handwritten digits", label_counts=LABEL_COUNTS
    )
    accuracy = {str(point.n_labels): point.mean for point in result.curve}
    pixels = {str(point.n_labels): point.mean for point in result.pixel_curve}
    errors = {str(point.n_labels): point.standard_error for point in result.curve}
    summary = run.summary(result) | {"accuracy": accuracy, "pixel_accuracy": pixels, "standard_error": errors}
    lines = ["labels   learned features   raw pixels"]
    lines += [f"{n:>6}   {accuracy[n]:>16.1%}   {pixels[n]:>10.1%}" for n in accuracy]
    text = "\n".join(
        [*lines, f"in {run.seconds:.0f} s", f"model:  {printable(run.out)}", f"report: {printable(run.report)}"]
    )
    emit(summary, as_json, text)
