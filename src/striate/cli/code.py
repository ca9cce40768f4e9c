"""``striate code SIGNALS``: learn a dictionary, code signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from striate.cli._options import MOST, MOST_PIXELS, MOST_UNITS, AsJson, Quiet, Seed, Threads, emit, require_memory

_CODES = (".npz", ".npy")  # sparse, and with all zeros
_BLOCK = 8192  # signals that are coded and written at a time
_TRAINING = 100_000  # signals whose optimal codes an encoder learns from


def code(
    signals: Annotated[
        Path,
        typer.Argument(
            help="Signals, one a row, in a .npy or .npz file; or a folder of images, whose patches are coded.",
            show_default=False,
        ),
    ],
    dictionary: Annotated[
        Path | None,
        typer.Option(help="Units, one a row, in a .npy or .npz file; else they are learned.", show_default="learn"),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=MOST_UNITS, help="How many units to learn.")] = 256,
    sparsity: Annotated[
        float | None, typer.Option(min=0.0, help="Weight of the L1 term.", show_default="from --active")
    ] = None,
    active: Annotated[float, typer.Option(help="Fraction of the units that is to be active in a code.")] = 0.02,
    positive: Annotated[bool, typer.Option("--positive", help="Codes must not be negative.")] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Of the duality gap, relative to the signal's energy.", show_default="1e-4, for float64 1e-6"
        ),
    ] = None,
    batches: Annotated[
        int, typer.Option(min=1, max=MOST, help="Batches of 512 signals to learn from, at the most.")
    ] = 1000,
    size: Annotated[
        int, typer.Option(min=2, max=MOST_PIXELS, help="Height and width of patches of images, in pixels.")
    ] = 12,
    patches: Annotated[int, typer.Option(min=1, max=MOST, help="How many patches of images.")] = 100_000,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Predict codes instead: learn linear, shrinkage, lista or lcod from optimal ones.",
            show_default="optimal codes",
        ),
    ] = None,
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

    import numpy as np
    from scipy import sparse

    from striate.cli._images import patches_of_folder
    from striate.cli._left_out import LeftOut
    from striate.cli._outputs import Output, beside, check_files, same_file
    from striate.coding import PreparedDictionary, certify, infer
    from striate.encoders import ENCODERS
    from striate.errors import UsageError
    from striate.images.names import printable
    from striate.learning import SparseCoding
    from striate.progress import RichProgress
    from striate.whole_file import whole_file

    if out.suffix.lower() not in _CODES:
        raise UsageError(f"{out}: give codes a name that ends in .npz (sparse) or .npy (with all zeros).")
    units_file = beside(out, ".dictionary.npy", _CODES)
    kinds = [kind for kind in ENCODERS if kind != "tanh"]
    if encoder is not None and (positive or encoder not in kinds):
        raise UsageError(
            f"--encoder {encoder}: predicted codes have both signs; leave out --positive."
            if positive
            else f"--encoder {encoder}: there are {', '.join(kinds)}."
        )
    # A dictionary of an earlier run may be given from its own place, and stays there as it is.
    in_place = dictionary is not None and same_file(dictionary, units_file)
    outputs = [Output("--out", out), *([] if in_place else [Output("the file of the dictionary", units_file)])]
    check_files(*outputs, inputs=[signals, dictionary])
    started = time.perf_counter()
    progress = RichProgress(quiet=quiet)
    left_out = LeftOut()
    if signals.is_dir():
        rows, _ = patches_of_folder(signals, patches, size, seed, progress, left_out)
        rows = rows - rows.mean(axis=1, keepdims=True)
    else:
        rows = _array(signals, key, "signals", np)
    learner = SparseCoding(
        n,
        sparsity="auto" if sparsity is None else sparsity,
        active_fraction=active,
        positive=positive,
        max_batches=batches,
        random_state=seed,
    )
    if dictionary is None:
        require_memory(n, rows.shape[1])
        learner.fit(rows, progress=progress)
        units, weight = learner.components_, learner.sparsity_
    else:
        units = np.asarray(_array(dictionary, None, "dictionary", np))
        if units.shape[1] != rows.shape[1]:
            raise UsageError(
                f"{dictionary}: units have {units.shape[1]} numbers, but signals have {rows.shape[1]}: take another."
            )
        some = np.asarray(rows[:: max(1, len(rows) // 256)][:256])
        weight = sparsity if sparsity is not None else learner.sparsity_for(some, units)
    prepared = PreparedDictionary(units)
    dtype = np.dtype(np.float32 if rows.dtype in (np.float32, np.float16) else np.float64)
    predictor = None
    if encoder is not None:
        from striate.encoders import make_encoder, train_predictor

        form = make_encoder(encoder)
        if "steps" in form.get_params():
            form.set_params(steps=steps)
        some = np.asarray(rows[:: max(1, len(rows) // _TRAINING)], dtype)
        predictor = train_predictor(form, some, prepared, weight, random_state=seed, progress=progress)
    totals = {"active": 0, "objective": 0.0, "gap": 0.0}

    def blocks() -> Iterator[Any]:
        with progress.phase("codes", total=len(rows), unit="signals") as phase:
            for start in range(0, len(rows), _BLOCK):
                block = np.asarray(rows[start : start + _BLOCK])
                if predictor is None:
                    codes = infer(block, prepared, weight, positive=positive, tolerance=tolerance, sparse_output=True)
                else:
                    codes = sparse.csr_array(predictor.encode(block).astype(dtype, copy=False))
                proof = certify(block, codes, units, weight, positive=positive)
                totals["active"] += codes.nnz
                totals["objective"] += float(proof.objective.sum())
                totals["gap"] = max(totals["gap"], float(proof.relative_gap.max(initial=0)))
                yield codes
                phase.advance(len(block))

    with ExitStack() as files:  # neither file appears before both are written
        if not in_place:
            opened = files.enter_context(whole_file(units_file))
            np.save(opened, units)
            opened.flush()
        _write(out, blocks(), (len(rows), len(units)), dtype)
    fraction = totals["active"] / max(len(rows) * len(units), 1)
    result = {
        "codes": out,
        "dictionary": units_file,
        "n_signals": len(rows),
        "n_components": len(units),
        "sparsity": weight,
        "active_fraction": fraction,
        "objective": totals["objective"] / max(len(rows), 1),
        "largest_relative_gap": totals["gap"],
        "encoder": encoder,
        "batches": learner.n_batches_ if dictionary is None else 0,
        "seconds": time.perf_counter() - started,
        **left_out.for_json(),
    }
    text = (
        f"{len(rows):,} codes of {len(units)} units, {fraction:.1%} active at sparsity {weight:.3g}, "
        f"{'exact' if encoder is None else 'predicted'} to {totals['gap']:.0e}: "
        f"{printable(out)}, {printable(units_file)}"
    )
    emit(result, as_json, f"{text}\n{left_out.text()}")


def _array(path: Path, key: str | None, what: str, np: Any) -> Any:
    """An array of numbers, a memory map where the file allows it; never unpickled."""
    from striate.errors import StriateError, UsageError
    from striate.samples import check_finite

    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give {what} as .npy or .npz.")
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                names = list(archive.files)
                name = key or (names[0] if len(names) == 1 else "X")
                if name not in names:
                    raise UsageError(f"{path}: holds {', '.join(names) or 'nothing'}; say which with --key.")
                array = archive[name]
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except UsageError:
        raise
    except OSError as error:
        raise StriateError(f"{path}: cannot be read ({error.strerror or error}); give an array file.") from error
    except Exception as error:  # NumPy raises whatever its parts do: a damaged file must be named
        reason = "it is no .npy or .npz file" if "pickle" in str(error) else str(error)
        raise StriateError(f"{path}: cannot be read as an array ({reason}); write it again with numpy.save.") from error
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiub":
        raise UsageError(
            f"{path}: an array {array.shape} of {array.dtype}; {what} must be real numbers, one a row, at least one."
        )
    for start in range(0, len(array), _BLOCK):  # also of an array that does not fit into memory
        check_finite(array[start : start + _BLOCK], f"{path}: {what}", first=start)
    return array


def _write(path: Path, blocks: Iterator[Any], shape: tuple[int, int], dtype: Any) -> None:
    import numpy as np

    from striate.coding.code_file import write_codes
    from striate.whole_file import whole_file

    if path.suffix.lower() == ".npz":
        write_codes(path, blocks, shape[1], dtype)
        return
    with whole_file(path) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.toarray().tobytes())
