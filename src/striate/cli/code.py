"""``striate code SIGNALS``: learn a dictionary, code signals."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._options import MOST, MOST_PIXELS, MOST_UNITS, AsJson, Quiet, Seed, Threads, emit, require_memory
from striate.cli._outputs import Output, beside, check_files, same_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from striate.coding import PreparedDictionary
    from striate.coding.coded_signals import CodedSignals
    from striate.learning import SparseCoding
    from striate.progress import Progress

_CODES = (".npz", ".npy")  # sparse and dense
_TRAINING = 100_000  # signals whose optimal codes an encoder learns from


def code(
    signals: Annotated[
        Path,
        typer.Argument(
            help="Signals, one per row, in a .npy or .npz file; or a folder of images, whose patches are coded.",
            show_default=False,
        ),
    ],
    dictionary: Annotated[
        Path | None,
        typer.Option(help="Units, one per row, in a .npy or .npz file, used as they are.", show_default="learn"),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, max=MOST_UNITS, help="Number of units to learn.", show_default="256, 64 with --convolutional"
        ),
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(min=0.0, help="Weight of the L1 term.", show_default="from --active")
    ] = None,
    active: Annotated[
        float | None, typer.Option(help="Fraction of the units that should be active in a code.", show_default="0.02")
    ] = None,
    positive: Annotated[bool, typer.Option("--positive", help="Codes must not be negative.")] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Largest duality gap, relative to the signal's energy.", show_default="1e-4, for float64 1e-6"
        ),
    ] = None,
    batches: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            help="Maximum number of batches to learn from.",
            show_default="1000 of 512 signals; 300 of 8 images with --convolutional",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST_PIXELS,
            help="Height and width of patches or filters, in pixels.",
            show_default="12, 9 with --convolutional",
        ),
    ] = None,
    patches: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Number of patches of images.", show_default="100000")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Predict codes instead: learn linear, shrinkage, lista or lcod from optimal ones.",
            show_default="optimal codes",
        ),
    ] = None,
    convolutional: Annotated[
        bool,
        typer.Option(
            "--convolutional",
            help="Code whole images behind local contrast normalization, and learn filters from them.",
        ),
    ] = False,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Steps of lista or lcod.")] = 3,
    key: Annotated[
        str | None, typer.Option(help="Name of the array in an .npz file.", show_default="the only, or X")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Codes to write: .npz for scipy.sparse.load_npz, or .npy for all zeros as well.")
    ] = Path("codes.npz"),
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Learn a dictionary for signals, or take one, and write their optimal codes, or predicted ones.

    Signals stream from their file. The dictionary goes beside the codes, NAME.dictionary.npy.
    """
    import time

    if convolutional:
        from striate.cli._convolutional import code_images
        from striate.errors import UsageError
        from striate.progress import RichProgress

        of_patches = {"--active": active, "--patches": patches, "--encoder": encoder}
        given = [option for option, value in of_patches.items() if value is not None]
        if given:
            raise UsageError(f"{given[0]} is for codes of patches: leave it out with --convolutional.")
        result, text = code_images(
            signals, dictionary, out, n=n or 64, size=size or 9, batches=batches or 300, key=key, sparsity=sparsity,
            positive=positive, tolerance=tolerance, seed=seed, progress=RichProgress(quiet=quiet),
        )  # fmt: skip
        emit(result, as_json, text)
        return

    from striate.cli._images import patches_of_folder
    from striate.cli._left_out import LeftOut
    from striate.coding import PreparedDictionary
    from striate.coding.coded_signals import CodedSignals
    from striate.coding.signal_file import open_rows
    from striate.images.names import printable
    from striate.learning import SparseCoding
    from striate.progress import RichProgress

    n = n or 256
    units_file, in_place = _checked_files(out, signals, dictionary, encoder, positive)
    started = time.perf_counter()
    progress, left_out = RichProgress(quiet=quiet), LeftOut()
    if signals.is_dir():
        rows, _ = patches_of_folder(signals, patches or 100_000, size or 12, seed, progress, left_out)
        rows = rows - rows.mean(axis=1, keepdims=True)
    else:
        rows = open_rows(signals, key=key)
    learner = SparseCoding(
        n,
        sparsity="auto" if sparsity is None else sparsity,
        active_fraction=0.02 if active is None else active,
        positive=positive,
        max_batches=batches or 1000,
        random_state=seed,
    )
    if dictionary is None:
        require_memory(n, rows.shape[1])
        learner.fit(rows, progress=progress)
        units, weight = learner.components_, learner.sparsity_
    else:
        units, weight = _given(dictionary, rows, learner, sparsity)
    prepared = PreparedDictionary(units)
    encode = None if encoder is None else _predictor(encoder, rows, prepared, weight, steps, seed, progress)
    coded = CodedSignals(rows, prepared, weight, positive=positive, tolerance=tolerance, encode=encode)
    _write(out, coded, units, None if in_place else units_file, progress)
    result = {
        "codes": out,
        "dictionary": units_file,
        "n_signals": len(rows),
        "n_components": len(units),
        "sparsity": weight,
        "active_fraction": coded.active_fraction,
        "objective": coded.objective,
        "largest_relative_gap": coded.largest_gap,
        "encoder": encoder,
        "batches": learner.n_batches_ if dictionary is None else 0,
        "seconds": time.perf_counter() - started,
        **left_out.for_json(),
    }
    text = (
        f"{len(rows):,} codes of {len(units)} units, {coded.active_fraction:.1%} active at sparsity {weight:.3g}, "
        f"{'exact' if encoder is None else 'predicted'} to {coded.largest_gap:.0e}: "
        f"{printable(out)}, {printable(units_file)}"
    )
    emit(result, as_json, f"{text}\n{left_out.text()}")


def _checked_files(
    out: Path, signals: Path, dictionary: Path | None, encoder: str | None, positive: bool
) -> tuple[Path, bool]:
    """The file of the dictionary, and whether the given one is in it; checks names and options."""
    from striate.encoders import ENCODERS
    from striate.errors import UsageError

    if out.suffix.lower() not in _CODES:
        raise UsageError(f"{out}: give codes a name that ends in .npz (sparse) or .npy (with all zeros).")
    units_file = beside(out, ".dictionary.npy", _CODES)
    if encoder is not None and positive:
        raise UsageError(f"--encoder {encoder}: predicted codes have both signs; leave out --positive.")
    kinds = [kind for kind in ENCODERS if kind != "tanh"]
    if encoder is not None and encoder not in kinds:
        raise UsageError(f"--encoder {encoder}: there are {', '.join(kinds)}.")
    # A dictionary of an earlier run may be given from the path where it would be written; it is not changed.
    in_place = dictionary is not None and same_file(dictionary, units_file)
    outputs = [Output("--out", out), *([] if in_place else [Output("the file of the dictionary", units_file)])]
    check_files(*outputs, inputs=[signals, dictionary])
    return units_file, in_place


def _given(
    path: Path, signals: NDArray[Any], learner: SparseCoding, sparsity: float | None
) -> tuple[NDArray[Any], float]:
    """The units of a given dictionary, and the sparsity, which is found from --active if it was not given."""
    import numpy as np

    from striate.coding.signal_file import open_rows
    from striate.errors import UsageError

    units = np.asarray(open_rows(path, what="dictionary"))
    if units.shape[1] != signals.shape[1]:
        raise UsageError(
            f"{path}: units have {units.shape[1]} numbers, but signals have {signals.shape[1]}: take another."
        )
    some = np.asarray(signals[:: max(1, len(signals) // 256)][:256])
    return units, sparsity if sparsity is not None else learner.sparsity_for(some, units)


def _predictor(
    word: str,
    signals: NDArray[Any],
    dictionary: PreparedDictionary,
    sparsity: float,
    steps: int,
    seed: int,
    progress: Progress,
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The encoder that predicts codes, trained on the optimal codes of some of the signals."""
    import numpy as np

    from striate.encoders import make_encoder, train_predictor

    form = make_encoder(word)
    if "steps" in form.get_params():
        form.set_params(steps=steps)
    dtype = np.float32 if signals.dtype in (np.float32, np.float16) else np.float64
    some = np.asarray(signals[:: max(1, len(signals) // _TRAINING)], dtype)
    return train_predictor(form, some, dictionary, sparsity, random_state=seed, progress=progress).encode


def _write(out: Path, coded: CodedSignals, units: NDArray[Any], units_file: Path | None, progress: Progress) -> None:
    """Write the codes, and the dictionary if it is to be written; neither file appears before both are complete."""
    import numpy as np

    from striate.coding.code_file import write_codes
    from striate.whole_file import whole_file

    with ExitStack() as files:
        if units_file is not None:
            opened = files.enter_context(whole_file(units_file))
            np.save(opened, units)
            opened.flush()
        write_codes(out, coded.blocks(progress), coded.shape, coded.dtype)
