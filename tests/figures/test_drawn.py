from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from striate import PSD, RBM, ImageClassifier, RandomFilters, SparseCoding, load_mnist_digits
from striate.errors import UsageError
from striate.figures import as_filters, filter_mosaic


@pytest.mark.parametrize(
    ("n_features", "shape", "expected"),
    [
        (36, None, (1, 6, 6)),
        (27, None, (3, 3, 3)),
        (12, (3, 4), (1, 3, 4)),
        (24, (2, 3, 4), (2, 3, 4)),
    ],
)
def test_units_are_squares_or_of_the_shape_that_is_given(
    n_features: int, shape: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    units = np.arange(2.0 * n_features).reshape(2, -1)
    filters = as_filters(units, shape)
    assert filters.shape == (2, *expected)
    assert np.array_equal(filters.reshape(2, -1), units)


@pytest.mark.parametrize(("n_features", "shape"), [(35, None), (36, (5, 7)), (36, (36,))])
def test_a_shape_that_does_not_fit_is_refused(n_features: int, shape: tuple[int, ...] | None) -> None:
    with pytest.raises(UsageError, match="shape"):
        as_filters(np.ones((2, n_features)), shape)


def learners() -> list[PSD | SparseCoding | RBM | RandomFilters]:
    signals = np.random.default_rng(0).random((60, 25), np.float32)
    return [
        PSD(8, max_batches=3, random_state=0).fit(signals),
        SparseCoding(8, max_batches=3, random_state=0).fit(signals),
        RBM(8, n_epochs=1, random_state=0).fit(signals),
        RandomFilters(8, random_state=0).fit(signals),
    ]


@pytest.mark.parametrize("learner", learners(), ids=lambda learner: type(learner).__name__)
def test_a_notebook_shows_the_mosaic_of_the_units(learner: PSD) -> None:
    html = learner._repr_mimebundle_()["text/html"]
    (source,) = re.findall(r"data:image/png;base64,([^\"]+)", html)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    assert np.array_equal(shown, filter_mosaic(learner.components_.reshape(8, 1, 5, 5)))
    assert "8 units of 5×5" in html
    assert "data:image/png" not in clone(learner)._repr_html_()


@pytest.mark.parametrize("learner", learners(), ids=lambda learner: type(learner).__name__)
def test_units_are_drawn_in_one_line(learner: PSD) -> None:
    (axes,) = learner.plot_components(columns=4).axes
    expected = filter_mosaic(learner.components_.reshape(8, 1, 5, 5), columns=4, scale=1)
    assert np.array_equal(np.asarray(axes.images[0].get_array()), expected)
    with pytest.raises(NotFittedError):
        clone(learner).plot_components()
    with pytest.raises(UsageError, match="25 features"):
        learner.plot_components(shape=(4, 4))


def test_encoders_are_drawn_apart_from_dictionaries() -> None:
    learner = learners()[0]
    assert isinstance(learner, PSD)
    (axes,) = learner.plot_filters().axes
    assert np.array_equal(
        np.asarray(axes.images[0].get_array()), filter_mosaic(learner.encoder_.reshape(8, 1, 5, 5), scale=1)
    )


def test_a_classifier_draws_its_first_stage() -> None:
    images, labels = load_mnist_digits()
    classifier = ImageClassifier(architecture="4F5x5 - Rabs - PA6x6/6", learner="random", random_state=0)
    assert "data:image/png" not in classifier._repr_html_()
    classifier.fit(images[::100], labels[::100])
    (axes,) = classifier.plot_filters().axes
    (bank,) = classifier.hierarchy_.filter_banks
    assert bank.filters is not None
    assert np.array_equal(np.asarray(axes.images[0].get_array()), filter_mosaic(bank.filters, scale=1))
    assert "4 filters of 5×5" in classifier._repr_html_()
