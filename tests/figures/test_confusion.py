from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.figures import ConfusedPair, confused_pairs, draw_confusion, to_svg


def test_pairs_are_sorted_by_their_share_of_the_true_class() -> None:
    matrix = np.array([[90, 10, 0], [0, 3, 1], [0, 0, 5]])
    assert confused_pairs(matrix, ["a", "b", "c"]) == [
        ConfusedPair("b", "c", 1, 0.25),
        ConfusedPair("a", "b", 10, 0.1),
    ]
    assert len(confused_pairs(matrix, ["a", "b", "c"], at_most=1)) == 1


def test_a_class_without_images_has_no_shares() -> None:
    assert confused_pairs(np.array([[0, 0], [1, 1]]), ["none", "some"]) == [ConfusedPair("some", "none", 1, 0.5)]
    draw_confusion(np.zeros((2, 2), dtype=int), ["a", "b"])


def test_counts_and_names_are_written_for_a_few_classes() -> None:
    svg = to_svg(draw_confusion(np.array([[41, 2], [0, 37]]), ["cat", "<dog>"]), alt="x")
    for text in ("41", "37", "cat", "&lt;dog&gt;"):
        assert f">{text}<" in svg


def test_hundreds_of_classes_are_an_image() -> None:
    n = 257
    svg = to_svg(draw_confusion(np.eye(n, dtype=int), [f"class {i}" for i in range(n)]), alt="x")
    assert "class 3" not in svg
    assert "<image" in svg
    assert len(svg) < 300_000


def test_names_are_text_and_not_mathematics() -> None:
    svg = to_svg(draw_confusion(np.eye(2, dtype=int), ["$x^2$", "扇子 $"]), alt="x")
    assert "$x^2$" in svg
    assert "扇子 $" in svg


def test_a_matrix_that_does_not_fit() -> None:
    with pytest.raises(UsageError, match="does not fit 3 classes"):
        draw_confusion(np.eye(2), ["a", "b", "c"])
