"""How long a command takes from the shell's point of view: the whole process, interpreter included."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from _harness import Harness

# What the design asks, in seconds: whole process, kernels cached.
GOALS = {"striate --help": 0.3, "striate --version": 0.3, "striate predict": 1.5}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, help="a model file; `striate predict` is timed as well")
    parser.add_argument("--image", type=Path, help="the image that `striate predict` is given")


def _run(arguments: list[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "80"})
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments[-3:])} failed: {done.stderr.strip()}")
    return done.stdout


def _did_what_was_asked(outputs: Mapping[str, str]) -> None:
    assert outputs["python"] == ""
    assert "predict" in outputs["striate --help"]
    assert outputs["striate --version"].startswith("striate ")
    if "striate predict" in outputs:
        (prediction,) = json.loads(outputs["striate predict"])
        assert prediction["label"] is not None


def main() -> None:
    """Measure, print and write."""
    harness = Harness("start_up", "Time of a whole process.", repetitions=15, options=_options)
    model, image = harness.options.model, harness.options.image
    if (model is None) != (image is None):
        sys.exit("--model and --image belong together; give both or neither")
    script = Path(sys.executable).with_name("striate")
    if not script.exists():
        sys.exit(f"there is no command striate beside {Path(sys.executable).name}; install the package there")
    commands = {
        # The floor: an interpreter that does nothing.
        "python": [sys.executable, "-c", ""],
        "striate --help": [str(script), "--help"],
        "striate --version": [str(script), "--version"],
    }
    if model is not None:
        commands["striate predict"] = [str(script), "predict", str(model), str(image), "--json"]
    timings = harness.alternate(
        # Bound now, not when called: the loop's variable changes.
        {name: lambda command=command: _run(command) for name, command in commands.items()},
        warm_up=2,
        check=_did_what_was_asked,
    )
    harness.report("from a shell", timings, goals=GOALS)
    harness.finish()


if __name__ == "__main__":
    main()
