"""A linear classifier on predicted codes of 200 units, for several encoders and numbers of labels.

The sparsity was chosen on validation digits, with LISTA: errors from 1,000 labels per class were 5.3 % at 3, 4.5 % at
1, and 3.4 % at 0.5. Inference leaves out the prediction (`predict_in_inference=False`), so that all encoders learn to
predict nearly the same codes. The tanh encoder stayed in its linear range in every setting that was tried: sparsities
of 0.3 to 10, steps ten times as long, and inference with and without the prediction term gave 8.6 to 10.3 % on
validation digits. A linear encoder gave 8.1 %.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.experiments.data.mnist import mnist_rows
from striate.experiments.engine.drawing import new_canvas, save_canvas
from striate.experiments.engine.experiment import Scale
from striate.experiments.engine.figure import Figure, Measurement, above, paired
from striate.experiments.engine.results import Results
from striate.experiments.engine.unit import Context, Settings, Unit
from striate.learning import PSD
from striate.recognition import SoftmaxClassifier
from striate.recognition.splits import draw_per_class

NAME = "psd-mnist-classification"
CLAIM = "Predicted sparse codes of digits are better features for a linear classifier than pixels or components."
DATA = {"quick": (), "full": ("mnist",)}

LABELS = (10, 100, 1000)  # per class
ENCODERS = ("tanh", "linear", "shrinkage", "lista")
FEATURES = (*ENCODERS, "optimal", "components", "pixels")


def _errors(features: str, n: int) -> Callable[[Results], list[float]]:
    return lambda results: [100 * value for value in results[features]["errors"][str(n)]]


def _tanh_beats_linear(n: int) -> Callable[[Results], Measurement]:
    """The difference on the same draws, in its standard errors."""

    def measure(results: Results) -> Measurement:
        found = paired(_errors("linear", n)(results), _errors("tanh", n)(results))
        assert found.value is not None
        return Measurement(found.value / found.uncertainty if found.uncertainty else 0.0)

    return measure


def _best_encoder(results: Results) -> list[float]:
    """Return the errors of the encoder with the least error on validation digits, from all labels."""
    best = min(ENCODERS, key=lambda kind: results[kind]["validation error"])
    return _errors(best, LABELS[-1])(results)


def _above_tanh(features: str, n: int) -> Callable[[Results], Measurement]:
    return lambda results: above(_errors(features, n)(results), float(np.mean(_errors("tanh", n)(results))))


FIGURES = (
    *(
        Figure(
            what=f"error of linear minus that of tanh features, in standard errors, {n} labels per class",
            better="higher",
            goal=2.0,
            measure=_tanh_beats_linear(n),
        )
        for n in LABELS
    ),
    Figure(
        what="error of the best encoder, 1,000 labels per class",
        unit="%",
        better="lower",
        goal=4.0,
        measure=_best_encoder,
    ),
    *(
        Figure(
            what=f"error of {name}, {n:,} labels per class",
            unit="%",
            better="lower",
            predicate="above the tanh encoder's: learned features help",
            measure=_above_tanh(features, n),
        )
        for features, name in (("pixels", "raw pixels"), ("components", "200 principal components"))
        for n in LABELS
    ),
)


def units(scale: Scale) -> list[Unit]:
    """Return a unit per kind of features."""
    full = scale == "full"
    common = {
        "n_components": 200 if full else 24,
        "batches": 3000 if full else 40,
        "labels": LABELS if full else (5, 10, 20),
        "draws": 10 if full else 2,
        "sparsity": 0.5,
    }
    return [
        Unit(features, {"features": features, **common}, classify_digits, expected_seconds=120.0)
        for features in FEATURES
    ]


def classify_digits(settings: Settings, context: Context) -> dict[str, Any]:
    """Learn features from the first 20,000 digits without labels; measure a classifier from draws of labels among them.

    Whether it standardizes the features is chosen, for each number of labels, on validation digits.
    """
    train, labels, test, test_labels = mnist_rows(context)
    n_train = min(20_000, 4 * len(train) // 5)
    validation, validation_labels = train[n_train:][-10_000:], labels[n_train:][-10_000:]
    train, labels = train[:n_train], labels[:n_train]
    transform, rebuild = _learn(settings, train, context)
    features, test_features = transform(train), transform(test)
    root_mean_square = float(np.sqrt(np.square(rebuild(test_features) - test).mean(dtype=np.float64)))
    judged = {"validation": (transform(validation), validation_labels), "test": (test_features, test_labels)}
    errors: dict[str, list[float]] = {}
    validated: dict[str, float] = {}
    for n, name in zip(settings["labels"], LABELS, strict=True):
        found = []
        for standardize in (True, False):  # components of small variance are better not scaled up
            rates: dict[str, list[float]] = {part: [] for part in judged}
            for draw_number in range(settings["draws"]):
                rows = draw_per_class(labels, n, random_state=np.random.default_rng([context.seed, n, draw_number]))
                classifier = SoftmaxClassifier(standardize=standardize, calibrate=False, random_state=draw_number)
                classifier.fit(features[rows], labels[rows])
                for part, (judged_features, truth) in judged.items():
                    rates[part].append(float(np.mean(classifier.predict(judged_features) != truth)))
            found.append((float(np.mean(rates["validation"])), rates["test"]))
        validated[str(name)], errors[str(name)] = min(found)
    return {
        "errors": errors,
        "validation error": validated[str(LABELS[-1])],
        "reconstruction error": root_mean_square,
        "active": float(np.mean(test_features != 0)),
    }


Transform = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _learn(settings: Settings, train: NDArray[np.float32], context: Context) -> tuple[Transform, Transform]:
    """Return functions that map digits to features, and features to digits."""
    kind, n = settings["features"], settings["n_components"]
    if kind == "pixels":
        return lambda rows: rows, lambda rows: rows
    if kind == "components":
        mean = train.mean(axis=0)
        _, _, axes = np.linalg.svd(train - mean, full_matrices=False)
        axes = axes[:n]
        return lambda rows: (rows - mean) @ axes.T, lambda codes: codes @ axes + mean
    psd = PSD(
        n, sparsity=settings["sparsity"], max_batches=settings["batches"], predict_in_inference=False,
        encoder="tanh" if kind == "optimal" else kind, remove_mean=False, random_state=context.seed,
    ).fit(train, progress=context.progress)  # fmt: skip
    return psd.infer if kind == "optimal" else psd.transform, psd.inverse_transform


def draw(results: Results, path: Path) -> None:
    """Draw the error against labels, and against the error of reconstruction."""
    canvas = new_canvas(10, 4.4)
    by_labels, by_error = canvas.subplots(1, 2)
    for number, features in enumerate(FEATURES):
        found = results[features]
        means = [100 * np.mean(found["errors"][str(n)]) for n in LABELS]
        spread = [100 * np.std(found["errors"][str(n)], ddof=1) / np.sqrt(len(found["errors"][str(n)])) for n in LABELS]
        by_labels.errorbar(LABELS, means, spread, marker="o", markersize=3, linewidth=1.3, label=features)
        by_error.plot(found["reconstruction error"], means[-1], "o", color=f"C{number}", label=features)
        place = (found["reconstruction error"], means[-1])
        by_error.annotate(features, place, fontsize=8, xytext=(4, (3, -10)[number % 2]), textcoords="offset points")
    by_labels.set_xscale("log")
    by_labels.set_yscale("log")
    ticks = (3, 5, 10, 20, 30, 50)
    by_labels.set_yticks(ticks, [str(tick) for tick in ticks])
    by_labels.minorticks_off()
    by_labels.set_xticks(LABELS, [f"{n:,}" for n in LABELS])
    by_labels.set_xlabel("labels per class")
    by_labels.set_ylabel("test error, %")
    by_labels.legend(fontsize=8, frameon=False)
    by_error.margins(x=0.15)
    by_error.set_xlabel("root mean square error of reconstruction (pixels from 0 to 1)")
    by_error.set_ylabel("test error from 1,000 labels per class, %")
    save_canvas(canvas, path)
