"""``striate train FOLDER``: train a classifier on images, and write a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from striate.cli._options import AsJson, Quiet, Seed, Threads, emit

if TYPE_CHECKING:
    from striate.checkpoint import Checkpoint
    from striate.cli._training import Run
    from striate.images import ImageCollection
    from striate.progress import Progress
    from striate.recognition import Ablation, TrainingResult


def train(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder with one sub-folder per class; or a CSV of path,label, an .npz, or MNIST's idx files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The model file to write.", show_default="NAME.safetensors, here, NAME that of FOLDER"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="The report to write.", show_default="beside the model, .html")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Labeled images to test on; otherwise a fifth of each class is held out.", show_default=False
        ),
    ] = None,
    train_per_class: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of training images per class; all others are for testing.", show_default=False
        ),
    ] = None,
    labels_per_class: Annotated[
        int | None,
        typer.Option(min=1, help="Number of labels to use per class; the other images are used without labels."),
    ] = None,
    unlabeled: Annotated[
        Path | None,
        typer.Option(help="A folder with additional images, without labels.", show_default=False),
    ] = None,
    unknown: Annotated[
        float | None,
        typer.Option(help="Let the model answer “unknown”, with this false alarm rate, e.g. 0.05.", show_default=False),
    ] = None,
    system: Annotated[
        Literal["auto", "hierarchy", "scspm"],
        typer.Option(help="Stages of learned filters, or sparse codes of SIFT over a spatial pyramid."),
    ] = "auto",
    learner: Annotated[
        Literal["psd", "conv-psd", "topographic", "random"],
        typer.Option(
            help="Filters learned from patches, or from whole images by convolution, or on a sheet; or random ones."
        ),
    ] = "psd",
    architecture: Annotated[
        str, typer.Option(help='"auto", or the papers’ notation, e.g. "64F9x9 - Rabs - N - PA10x10/5".')
    ] = "auto",
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror",
            help="Take mirror images as other views of the same classes.",
            show_default="as the images suggest",
        ),
    ] = None,
    refine: Annotated[
        bool,
        typer.Option(
            "--refine/--no-refine",
            help="At last train filters and classifier together, where held-out labels say that it is better; slow.",
        ),
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="About how long learning may take on two cores; more lets auto do more.")
    ] = 5.0,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also measure how much each component contributes, on validation images.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was killed.")] = False,
    progress: Annotated[
        Literal["bars", "json"],
        typer.Option(help="Show bars, or write one JSON object a line on standard error, for other programs."),
    ] = "bars",
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Learn features and a classifier from your images.

    Filters are learned without labels, and then a classifier from the labeled images. A run that was killed leaves its
    progress beside the model, in a folder ending in .checkpoint, and --resume continues from there; where there is
    nothing to resume, the command says so and trains from the beginning.
    """
    from striate import kernels
    from striate.cli._images import images_in
    from striate.cli._training import Run
    from striate.progress import JsonProgress
    from striate.recognition import ImageClassifier, split_images

    # The whole name: .2024 of a folder shots.2024 is not an ending.
    model = out if out is not None else Path(f"{folder.resolve().name or 'images'}.safetensors")
    shown = None
    if progress == "json" and not quiet:
        kernels.announce(False)  # it is no JSON
        # Not sys.stderr, which forgives a reader that is gone: training for nobody should end.
        shown = JsonProgress(sys.__stderr__ or sys.stderr)
    run = Run(model, report, quiet=quiet, inputs=[folder, test, unlabeled], progress=shown)
    images = run.left_out.of(images_in(folder))
    run.check_listed(folder, images)
    with run.left_out.told_with_errors():
        split = split_images(
            images,
            train_per_class=train_per_class,
            labels_per_class=labels_per_class,
            test=test is None,
            random_state=seed,
        )
    classifier = ImageClassifier(
        system=system,
        architecture=architecture,
        learner=learner,
        unknown=unknown,
        mirror="auto" if mirror is None else mirror,
        refine=refine,
        minutes=minutes,
        random_state=seed,
        feature_cache=True,
    )
    sources = {"images": images}
    sources |= {
        name: run.left_out.of(images_in(path))
        for name, path in (("test", test), ("unlabeled", unlabeled))
        if path is not None
    }
    counts = {"train_per_class": train_per_class, "labels_per_class": labels_per_class}
    options = {**classifier.get_params(), "preprocessing": "auto", **counts}
    if resume and not run.checkpoint_folder.exists():
        run.tell(_nothing_to_resume(run))
    checkpoint = _open_checkpoint(run.checkpoint_folder, options, sources, resume=resume, progress=run.progress)
    try:
        with run.left_out.told_with_errors():
            result = run.train(
                classifier,
                images,
                split,
                title=folder.resolve().name,
                checkpoint=checkpoint,
                test_images=sources.get("test"),
                unlabeled=sources.get("unlabeled"),
                with_ablations=ablate,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; what was learned is kept in {checkpoint.folder}: add --resume to go on"
        ) from None
    checkpoint.remove()
    emit(run.summary(result), as_json, _in_words(run, result))


def _in_words(run: Run, result: TrainingResult) -> str:
    from striate.images.names import printable

    return (
        f"{result.test.accuracy:.1%} of {result.test.n_test:,} held-out images right "
        f"({result.test.mean_class_accuracy:.1%} mean of {len(result.classifier.classes_)} classes)\n"
        f"{_before(result)}"
        f"{_describe_ablations(result.ablations)}"
        f"model:  {printable(run.out)}\nreport: {printable(run.report)}\n{run.left_out.text('listed in the report')}"
    )


def _before(result: TrainingResult) -> str:
    return "" if result.before is None else f"  before refinement            {result.before.accuracy:6.1%}\n"


def _describe_ablations(ablations: Sequence[Ablation]) -> str:
    return "".join(f"  {one.what:<28}{one.accuracy:6.1%} of validation images\n" for one in ablations)


def _nothing_to_resume(run: Run) -> str:
    if run.out.exists():
        return f"nothing to resume: the run that wrote {run.out} had finished; --resume trained anew"
    return f"nothing to resume: there is no {run.checkpoint_folder}; --resume began at the beginning"


def _open_checkpoint(
    folder: Path, options: dict[str, Any], sources: dict[str, ImageCollection], *, resume: bool, progress: Progress
) -> Checkpoint:
    """The checkpoint of this run, for the same options, images and number of threads."""
    import striate
    from striate.checkpoint import Checkpoint
    from striate.images.stamps import fingerprint_of
    from striate.threads import n_threads

    fingerprint = {
        "striate": striate.__version__,
        **options,
        "threads": n_threads(),
        **{name: fingerprint_of(images) for name, images in sources.items()},
    }
    if not resume and folder.exists():
        progress.message(f"starting afresh: {folder} had an earlier run; --resume goes on with it")
    return Checkpoint(folder, fingerprint, fresh=not resume)
