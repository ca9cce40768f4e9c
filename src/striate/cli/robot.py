"""``striate robot SEQUENCE``: a recorded stereo drive, seen by a robot that learns on the way."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli._live_page import address_of, check_packages, new_token, open_page
from striate.cli._options import AsJson, Quiet, Seed, Threads, emit, plain
from striate.lazy import needs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.progress import Progress
    from striate.robot import CostMap, DriveFeatures, FarResult, ReplayedFrame, StereoSequence

Show = Callable[["NDArray[np.uint8]", Mapping[str, Any]], None]

_MOST_DRAWN = 40  # frames of the clip, evenly spread


class Extractor(StrEnum):
    """How the features of windows are learned."""

    random = "random"
    rbf = "rbf"
    autoencoder = "autoencoder"
    supervised = "supervised"
    autoencoder_supervised = "autoencoder + supervised"
    drlim = "drlim"
    drlim_supervised = "drlim + supervised"


def robot(
    sequence: Annotated[
        Path,
        typer.Argument(
            help="A folder with left/, right/ and calib.txt, and optionally poses.txt, as KITTI's.", show_default=False
        ),
    ],
    extractor: Annotated[
        Extractor,
        typer.Option(
            help="Features of windows, learned from the first frames; random, rbf and autoencoder use no labels."
        ),
    ] = Extractor.drlim,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.", show_default="all")] = None,
    out: Annotated[
        Path, typer.Option(help="The folder for drive.gif, report.html, summary.json and maps/NAME.npz.")
    ] = Path("robot"),
    live: Annotated[bool, typer.Option("--live", help="Show the drive on a local page while it is replayed.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the page; 0 takes any that is free.")] = 8707,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """See a recorded drive as a robot does.

    Stereo labels what is near; a classifier learns from these labels in every frame, and predicts what is far. Where a
    frame has no stereo, the map says that nothing is known.
    """
    with needs("cv2", "baselines", "striate robot needs OpenCV"):
        import_module("cv2")
    if live:
        check_packages("striate robot --live")
    from striate.progress import RichProgress
    from striate.robot import FarTest, NearToFar, StereoSequence, learn_features_of_drive

    started = time.perf_counter()
    drive = StereoSequence(sequence)
    n_frames = min(frames or len(drive), len(drive))
    _check(out, sequence)
    progress = RichProgress(quiet=quiet)
    with _page(port, browser) if live else nullcontext() as show:
        learned = learn_features_of_drive(
            drive, extractor.value, n_frames=max(1, min(5, n_frames // 2)), progress=progress, random_state=seed
        )
        (out / "maps").mkdir(parents=True, exist_ok=True)
        test = FarTest(drive.calibration, first=_first_tested(extractor, learned))
        seconds, problems = _run(drive, NearToFar(learned.features), test, n_frames, out, seed, progress, show)
    with progress.phase("labels from the future", total=1, unit="tests") as phase:
        result = test.finish()
        phase.advance()
    summary = {
        "sequence": sequence,
        "extractor": extractor.value,
        "seed": seed,
        "n_frames": n_frames,
        "frames_per_second": 1 / sum(seconds.values()),
        "seconds_per_frame": seconds,
        "by_range": [score._asdict() for score in result.by_range()],
        "learning_curve": [{"frame": frame, **score._asdict()} for frame, score in result.learning_curve()],
        "problems": [{"frame": name, "why": why} for name, why in problems],
        "clip": out / "drive.gif",
        "report": out / "report.html",
        "maps": out / "maps",
    }
    _write(out, summary, result, problems)
    summary["seconds"] = time.perf_counter() - started
    emit(summary, as_json, _text(summary))


@contextmanager
def _page(port: int, browser: bool) -> Iterator[Show]:
    """A page on which frames are shown."""
    from striate.live import DriveView, listen

    host, token = "127.0.0.1", new_token()
    bound = listen(host, port)
    try:
        view = DriveView(token=token, host=host, port=bound.getsockname()[1])
        address = address_of(host, bound, token)
        # Not on stdout, which is for the summary.
        sys.stderr.write(f"{address}\n")
        if browser:
            open_page(address)
        with view.served(bound):
            yield view.show
    finally:
        bound.close()


def _check(out: Path, sequence: Path) -> None:
    from striate.cli._outputs import Output, check_files

    sides = [sequence / side for side in ("left", "right")]
    outputs = [Output("--out", out, folder=True)]
    check_files(*outputs, inputs=[sequence, *sides])
    if out.is_dir():
        names = ("drive.gif", "report.html", "summary.json")
        check_files(
            *(Output(name, out / name) for name in names), Output("maps", out / "maps", folder=True), inputs=sides
        )


def _first_tested(extractor: Extractor, learned: DriveFeatures) -> int:
    """Features that know labels are tested on frames that they do not know."""
    knows = extractor.value not in ("random", "rbf", "autoencoder")
    return learned.frames[-1] + 1 if knows else 0


def _run(
    drive: StereoSequence,
    far: Any,
    test: Any,
    n_frames: int,
    out: Path,
    seed: int,
    progress: Progress,
    show: Show | None,
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Seconds per frame, by phase, and the frames with problems."""
    from striate.robot import PHASES, annotated, replay, write_clip

    seconds = dict.fromkeys(PHASES, 0.0)
    problems, drawn = [], []
    step = -(-n_frames // _MOST_DRAWN)
    with progress.phase("frames", total=n_frames, unit="frames") as phase:
        for found in replay(drive, far, n_frames=n_frames, random_state=seed):
            test.add(found.frame.index, found.look)
            _write_map(out / "maps" / f"{found.frame.name}.npz", found.costs)
            kept = found.frame.index % step == 0
            if kept or show is not None:
                picture = annotated(found)
                if kept:
                    drawn.append(picture)
                if show is not None:
                    show(picture, _shown(found, n_frames))
            if found.problems:
                problems.append((found.frame.name, " ".join(found.problems)))
            _add(seconds, found, n_frames)
            phase.advance()
    with progress.phase("clip", total=1, unit="files") as phase:
        write_clip(out / "drive.gif", drawn)
        phase.advance()
    return seconds, problems


def _shown(found: ReplayedFrame, n_frames: int) -> dict[str, Any]:
    from striate.images.names import printable

    return {
        "name": printable(found.frame.name),
        "frame": found.frame.index + 1,
        "n_frames": n_frames,
        "problems": list(found.problems),
        "seconds": found.seconds,
    }


def _add(seconds: dict[str, float], found: ReplayedFrame, n_frames: int) -> None:
    for name, took in found.seconds.items():
        seconds[name] += took / n_frames


def _write_map(path: Path, costs: CostMap) -> None:
    import numpy as np

    from striate.whole_file import whole_file

    with whole_file(path) as file:
        np.savez_compressed(
            file, cost=costs.cost, weight=costs.weight, cell=costs.cell, corner=np.array(costs.corner),
            pose=np.array(costs.pose),
        )  # fmt: skip


def _write(out: Path, summary: dict[str, Any], result: FarResult, problems: list[tuple[str, str]]) -> None:
    from striate.report import DriveReport, write_drive_report
    from striate.whole_file import whole_file

    with whole_file(out / "summary.json") as file:
        file.write((json.dumps(plain(summary), indent=2, allow_nan=False) + "\n").encode())
    speed = f"{summary['frames_per_second']:.1f} per second"
    note = f"{summary['n_frames']:,} frames, {speed}; {summary['extractor']} features"
    report = DriveReport(
        f"The drive of {summary['sequence']}", note, out / "drive.gif", result, summary["seconds_per_frame"], problems
    )
    write_drive_report(out / "report.html", report)


def _text(summary: dict[str, Any]) -> str:
    from striate.images.names import printable

    speed = f"{summary['frames_per_second']:.1f} per second"
    n_frames, problems = summary["n_frames"], summary["problems"]
    lines = [f"{n_frames:,} frame{'s'[: n_frames != 1]}, {speed}: {printable(summary['report'])}"]
    for score in summary["by_range"]:
        limits = f"{score['nearest']:g}–{score['farthest']:g} m"
        known = score["auroc"] == score["auroc"]  # not NaN
        found = f"AUROC {score['auroc']:.3f}, error {score['error']:.1%}" if known else "not both obstacles and ground"
        lines.append(f"{limits}: {found} ({score['n_windows']:,} windows)")
    if problems:
        first = f"{printable(problems[0]['frame'])}: {printable(problems[0]['why'])}"
        lines.append(f"frames that say nothing: {len(problems):,}; the first, {first}")
    return "\n".join(lines)
