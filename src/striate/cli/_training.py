"""A training run with progress, model file and report, shared by `train` and `demo`."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.cli._left_out import LeftOut
from striate.cli._outputs import MODEL, PAGE, Output, beside, check_files
from striate.progress import Progress, RichProgress, peak_memory_bytes

__all__ = ["Run", "foreign_note"]

if TYPE_CHECKING:
    from striate.checkpoint import Checkpoint
    from striate.images import ImageCollection
    from striate.recognition import Evaluation, ImageClassifier, Split, TrainingResult


class Run:
    """A training run of the command line: its output files, start time, progress and left-out files."""

    def __init__(
        self,
        out: Path,
        report: Path | None,
        *,
        quiet: bool,
        inputs: Sequence[Path | None] = (),
        progress: Progress | None = None,
    ) -> None:
        self.out = out
        self.report = report if report is not None else beside(out, ".html", MODEL)
        self.checkpoint_folder = beside(out, ".checkpoint", MODEL)
        self.outputs = (
            Output("--out", self.out, MODEL),
            Output("--report" if report is not None else "the report", self.report, PAGE),
            Output("the checkpoint", self.checkpoint_folder, folder=True),
        )
        check_files(*self.outputs, inputs=inputs)
        self.progress = progress if progress is not None else RichProgress(quiet=quiet)
        self.left_out = LeftOut()
        self.started = time.perf_counter()

    def check_listed(self, source: Path, images: ImageCollection) -> None:
        """Raise UsageError if a list names files that the run would replace; it may name files of any ending."""
        if not source.is_dir() and any(output.path.exists() for output in self.outputs):
            # Other entries are left out, like any image that cannot be read.
            check_files(*self.outputs, inputs=[path for path in images.paths or () if path.is_file()])

    def train(
        self,
        classifier: ImageClassifier,
        images: ImageCollection,
        split: Split,
        *,
        title: str,
        checkpoint: Checkpoint | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train, evaluate, and write model and report."""
        from striate.recognition import train_and_evaluate
        from striate.report import training_report, write_report

        result = train_and_evaluate(classifier, images, split, checkpoint=checkpoint, progress=self.progress, **options)
        self.left_out.skipped += result.skipped
        self.left_out.notes += result.lost_classes + foreign_note(result.test)
        classifier.save(self.out)
        # A phase for the report, since its exact codes of patches may need kernels that are compiled now.
        with self.progress.phase("codes and images for the report", total=1, unit="reports") as phase:
            contents = training_report(
                result,
                title=title,
                command=this_command(),
                model=self.out,
                progress=self.progress,
                seconds=self.seconds,
                notes=self.left_out.notes,
            )
            phase.advance()
        with self.progress.phase("report", total=1, unit="files") as phase:
            write_report(self.report, contents)
            phase.advance()
        return result

    def tell(self, note: str) -> None:
        """Show a note to the user, now and at the end."""
        self.progress.message(note)
        self.left_out.notes.append(note)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started

    def summary(self, result: TrainingResult) -> dict[str, Any]:
        """The result that every training command prints."""
        return {
            "model": str(self.out),
            "report": str(self.report),
            "classes": len(result.classifier.classes_),
            "n_train": result.n_train,
            "n_test": result.test.n_test,
            "n_unlabeled": result.n_unlabeled,
            "accuracy": result.test.accuracy,
            "mean_class_accuracy": result.test.mean_class_accuracy,
            "accuracy_before_refinement": None if result.before is None else result.before.accuracy,
            "false_alarm_rate": result.test.unknown_rate,
            "seconds": self.seconds,
            "peak_memory_bytes": peak_memory_bytes(),
            "ablations": [
                {"what": one.what, "accuracy": one.accuracy, "n_features": one.n_features} for one in result.ablations
            ],
            **self.left_out.for_json(),
        }


def foreign_note(evaluation: Evaluation) -> list[str]:
    """A sentence about classes of test images that are not in the model, if there are any."""
    if not evaluation.foreign_classes:
        return []
    counts = Counter(label for label in evaluation.images.labels or () if label in evaluation.foreign_classes)
    from striate.images.names import printable

    names = ", ".join(f"{printable(name)} ({count:,})" for name, count in counts.most_common(10))
    more = f" and {len(counts) - 10} more" if len(counts) > 10 else ""
    n = counts.total()
    return [f"classes that are not in the model, so that their {n:,} images are always wrong: {names}{more}"]


def this_command() -> str:
    """The running command line, quoted for a shell."""
    return shlex.join(["striate", *sys.argv[1:]])
