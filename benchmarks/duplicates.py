"""From which similarity on are two images copies? Labeled pairs, made from photographs, forms and textures.

Copies are made by what happens to images: compression, scaling, small cuts, other brightness. No copies are forms that
were filled in differently (wholly, or in their number, date and total alone), crops of one texture, and photographs of
one kind. Writes ``results/duplicates.json``; ``STRIATE_DATA`` names the folder with Caltech-101 and the 15 scenes.
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from striate.retrieval.pixels import SIDE, Sketch, agreement, sketch_of

DATA = Path(os.environ.get("STRIATE_DATA", "../shared/data"))
OUT = Path(__file__).parent / "results" / "duplicates.json"
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
WORDS = [
    "paper", "cable", "lamp", "table", "chair", "screw", "service", "travel", "printer",
    "toner", "wood", "paint", "tiles", "sand", "pipe", "valve", "pump",
]  # fmt: skip


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """As a JPEG file gives it back."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """Both sides times a factor."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without shares of its sides."""
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round(width - right * width), round(height - bottom * height))
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 75": lambda image: compressed(image, 75),
    "JPEG of quality 30": lambda image: compressed(image, 30),
    "half": lambda image: scaled(image, 0.5),
    "a third, JPEG of quality 60": lambda image: compressed(scaled(image, 1 / 3), 60),
    "double": lambda image: scaled(image, 2),
    "a screenshot at 83 %": lambda image: scaled(image, 0.83),
    "cut by 2 % on each side": lambda image: cut(image, 0.02, 0.02, 0.02, 0.02),
    "cut by 5 % on two sides": lambda image: cut(image, 0.05, 0.03, 0, 0),
    "cut by 5 % on each side": lambda image: cut(image, 0.05, 0.05, 0.05, 0.05),
    "darker": lambda image: image.point(lambda value: value * 0.6),
    "brighter, clipped": lambda image: image.point(lambda value: min(255, value * 1.2 + 10)),
    "64 colors": lambda image: image.quantize(64).convert("RGB"),
    "half, cut by 2 %, JPEG of quality 50": lambda one: compressed(scaled(cut(one, 0.02, 0.03, 0.02, 0.01), 0.5), 50),
}  # fmt: skip


def form(kind: int, seed: int, *, few: bool = False) -> Image.Image:
    """An invoice on one of several forms; where few fields differ, in its number, date and total alone."""
    design, rng, own = (np.random.default_rng(n) for n in (1000 + kind, 7 if few else seed, seed))
    width, height = ((700, 990), (850, 1100), (420, 594), (1000, 700))[kind % 4]
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)

    def write(x: float, y: float, text: str, size: float) -> None:
        draw.text((x * width, y * height), text, fill="black", font=ImageFont.load_default(int(size * width)))

    color = tuple(int(value) for value in design.integers(0, 160, 3))
    draw.rectangle((0.04 * width, 0.03 * height, 0.3 * width, 0.1 * height), fill=color)
    write(0.45, 0.03, f"ACME {kind} GmbH", 0.04)
    for row in range(3):
        write(0.06, 0.14 + 0.025 * row, " ".join(rng.choice(WORDS, rng.integers(1, 3))), 0.022)
    write(0.6, 0.14, f"Invoice {own.integers(10_000, 99_999)}", 0.026)
    write(0.6, 0.17, f"Date {own.integers(10, 29)}.{own.integers(10, 13)}.20{own.integers(10, 30)}", 0.022)
    n_rows = int(design.integers(6, 10))
    for row in range(n_rows + 1):
        y = 0.28 + row * 0.5 / n_rows
        draw.line((0.04 * width, y * height, 0.96 * width, y * height), fill="black")
        if row < n_rows:
            write(0.06, y + 0.02, f"{rng.integers(1, 99)}  {' '.join(rng.choice(WORDS, rng.integers(1, 4)))}", 0.02)
            write(0.76, y + 0.02, f"{rng.integers(1, 9999)},{rng.integers(10, 99)}", 0.02)
    write(0.66, 0.82, f"Total {own.integers(100, 9999)},{own.integers(10, 99)} EUR", 0.028)
    write(0.06, 0.93, "Payable within 14 days. IBAN DE12 3456 7890 1234 5678 90", 0.018)
    return page


def texture(kind: int, rng: np.random.Generator) -> Image.Image:
    """Grain, bricks or clouds, of 700 × 700."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(700), np.fft.fftfreq(700)))
    center, width = ((0.03, 0.5), (0.1, 0.6), (0.01, 1.0), (0.2, 1.0))[kind % 4]
    band = np.exp(-(((np.log(frequency + 1e-9) - np.log(center)) / width) ** 2))
    values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((700, 700))) * band).real
    values = 128 + 45 * values / values.std()
    if kind >= 4:
        y, x = np.mgrid[:700, :700]
        mortar = ((x + (y // 25 % 2) * 30) % 60 < 3) | (y % 25 < 3)
        values = np.where(mortar, 200, 0.4 * values + 60)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")


def sketched(image: Image.Image) -> Sketch:
    """As it is compared with others."""
    factor = max(1, max(image.size) // (2 * SIDE))
    image = image.reduce(factor) if factor > 1 else image
    return sketch_of(np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255))


def among(images: list[Image.Image]) -> list[float]:
    """Similarities of all pairs."""
    return [agreement(one, other) for one, other in itertools.combinations(map(sketched, images), 2)]


def copies(rng: np.random.Generator) -> dict[str, list[float]]:
    """Similarities of copies, by what was done."""
    paths = [sorted(DATA.glob(pattern)) for pattern in ("caltech101/*/*.jpg", "scenes15/*/*.jpg")]
    chosen = [some[k] for some, n in zip(paths, (60, 40), strict=True) for k in rng.choice(len(some), n, replace=False)]
    images = [Image.open(path).convert("RGB") for path in chosen]
    images += [form(kind, kind) for kind in range(8)] + [cut(texture(kind, rng), 0, 0, 0.6, 0.7) for kind in range(5)]
    found: dict[str, list[float]] = {name: [] for name in CHANGES}
    for image in images:
        original = sketched(image)
        for name, change in CHANGES.items():
            found[name].append(agreement(original, sketched(change(image))))
    return found


def others(rng: np.random.Generator) -> dict[str, list[float]]:
    """Similarities of images that are no copies, by what they are."""
    found: dict[str, list[float]] = {"forms": [], "forms, three fields": [], "crops of one texture": []}
    for kind in range(8):
        found["forms"] += among([form(kind, 100 + seed) for seed in range(5)])
        found["forms, three fields"] += among([form(kind, 200 + seed, few=True) for seed in range(5)])
    for kind in range(5):
        whole = texture(kind, rng)
        corners = rng.integers(0, 440, (5, 2)).tolist()
        found["crops of one texture"] += among([whole.crop((x, y, x + 256, y + 192)) for x, y in corners])
    for name in ("Motorbikes", "Faces_easy", "airplanes"):
        paths = sorted((DATA / "caltech101" / name).glob("*.jpg"))[:30]
        found[f"photographs of {name}"] = among([Image.open(path).convert("RGB") for path in paths])
    return found


def main() -> None:
    """Measure, print, write."""
    rng = np.random.default_rng(0)
    tables = {"copies": copies(rng), "others": others(rng)}
    every = {name: np.concatenate([*map(np.asarray, table.values())]) for name, table in tables.items()}
    curve = []
    for threshold in THRESHOLDS:
        right, wrong = (float((every[name] >= threshold).mean()) for name in ("copies", "others"))
        n_right, n_wrong = (int((every[name] >= threshold).sum()) for name in ("copies", "others"))
        curve.append(
            {"threshold": threshold, "recall": right, "false": wrong, "precision": n_right / max(1, n_right + n_wrong)}
        )
        print(f"{threshold:.1f}: recall {right:.3f}, others {wrong:.4f}, precision {curve[-1]['precision']:.4f}")
    summary = {}
    for label, table in tables.items():
        for name, values in table.items():
            low, middle, high = np.quantile(values, [0.05, 0.5, 1.0]).round(3).tolist()
            share = float((np.asarray(values) >= 0.7).mean())
            summary[f"{label}: {name}"] = {"n": len(values), "5 %": low, "median": middle, "max": high, "found": share}
            print(f"{label:7s} {name:38s} n={len(values):4d}  5 % {low:5.2f}  median {middle:5.2f}  max {high:5.2f}  "
                  f"at 0.7: {share:.3f}")  # fmt: skip
    OUT.write_text(json.dumps({"curve": curve, "pairs": summary}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
