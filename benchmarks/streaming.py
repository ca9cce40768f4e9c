"""Memory to learn from, and to code, 10 million patches in a memory map: python benchmarks/streaming.py.

The patches are drawn into a temporary file, 5.8 GB: sparse sums of 256 units under noise. What is measured is a whole
process, `striate code`, that sees each patch once to learn and once to code it. Pages of the file that the system
keeps in memory while there is room are not the process's own, and are counted apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _harness import Harness, Timings, Watched

GOAL_BYTES = 10**9
N_FEATURES, N_COMPONENTS, BATCH = 144, 256, 512


def main() -> None:
    """Write the patches, learn and code, watch the process."""
    harness = Harness("streaming", "Sparse codes of 10 million patches in bounded memory.", options=options)
    n = harness.options.patches
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "patches.npy"
        write_patches(file, n)
        command = [
            sys.executable, "-m", "striate", "code", str(file), "--n", str(N_COMPONENTS), "--batches",
            str(-(-n // BATCH)), "--out", str(Path(name) / "codes.npz"), "--json", "--quiet",
        ]  # fmt: skip
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watched = Watched(process.pid)
        out, _ = process.communicate()
        seconds = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"coding failed with {process.returncode}")
    result = json.loads(out)
    print(f"    largest memory {watched.private / 1e9:.2f} GB beside {watched.mapped / 1e9:.2f} GB of files' pages")
    harness.report(
        f"{n:,} patches of 144",
        Timings({"striate code": [seconds]}),
        peak_private_bytes=watched.private,
        peak_mapped_bytes=watched.mapped,
        goal_bytes=GOAL_BYTES,
        verdict="met" if watched.private <= GOAL_BYTES else "short",
        batches=result["batches"],
        active_fraction=result["active_fraction"],
        largest_relative_gap=result["largest_relative_gap"],
    )
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument("--patches", type=int, default=10_000_000, help="how many (%(default)s)")


def write_patches(file: Path, n: int, block: int = 100_000) -> None:
    """Sparse sums of random units, with noise."""
    rng = np.random.default_rng(0)
    units = rng.standard_normal((N_COMPONENTS, N_FEATURES), dtype=np.float32) / 12
    patches = np.lib.format.open_memmap(file, "w+", np.float32, (n, N_FEATURES))
    for start in range(0, n, block):
        rows = min(block, n - start)
        codes = rng.standard_normal((rows, N_COMPONENTS), dtype=np.float32)
        codes *= rng.random(codes.shape, dtype=np.float32) < 0.03
        patches[start : start + rows] = codes @ units
        patches[start : start + rows] += 0.02 * rng.standard_normal((rows, N_FEATURES), dtype=np.float32)
    patches.flush()


if __name__ == "__main__":
    main()
