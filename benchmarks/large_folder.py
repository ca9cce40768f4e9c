"""Memory and time to train on a folder of 50,000 small images: python benchmarks/large_folder.py.

The images are drawn into a temporary folder: one PNG an image, 64×64, in color, of 20 classes that differ in the
orientation and frequency of a grating under noise. What is measured is a whole process, `striate train`.
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

GOAL_BYTES = 2 * 10**9


def main() -> None:
    """Write the images, train, watch the process."""
    harness = Harness("large_folder", "Training on 50,000 images of 64x64 in bounded memory.", options=options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        write_images(folder, harness.options.pictures)
        command = [
            sys.executable, "-m", "striate", "train", str(folder), "--out", str(Path(name) / "model.safetensors"),
            "--json", "--quiet",
        ]  # fmt: skip
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watched = Watched(process.pid)
        out, _ = process.communicate()
        seconds = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"training failed with {process.returncode}")
    result = json.loads(out)
    print(f"    largest memory {watched.resident / 1e9:.2f} GB, of which files' pages {watched.mapped / 1e9:.2f} GB")
    harness.report(
        f"{harness.options.pictures:,} images of 64x64",
        Timings({"striate train": [seconds]}),
        peak_resident_bytes=watched.resident,
        peak_private_bytes=watched.private,
        peak_mapped_bytes=watched.mapped,
        peak_memory_bytes_it_reports=result["peak_memory_bytes"],
        goal_bytes=GOAL_BYTES,
        verdict="met" if watched.resident < GOAL_BYTES else "short",
        accuracy=result["accuracy"],
    )
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument("--images", type=int, default=50_000, help="how many (%(default)s)")


def write_images(folder: Path, n: int, n_classes: int = 20) -> None:
    """Gratings under noise, a sub-folder a class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for label in range(n_classes):
        place = folder / f"class {label:02d}"
        place.mkdir(parents=True)
        angle, frequency = np.pi * (label % 10) / 10, (0.06, 0.15)[label // 10]
        wave = 2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle))
        for number in range(n // n_classes):
            shade = 128 + 40 * np.cos(wave + rng.uniform(0, 2 * np.pi)) + 25 * rng.standard_normal((64, 64))
            tint = rng.uniform(0.7, 1, 3)
            pixels = np.clip(shade[..., None] * tint, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number:05d}.png", compress_level=1)


if __name__ == "__main__":
    main()
