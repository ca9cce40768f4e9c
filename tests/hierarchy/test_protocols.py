"""Letters and what they stand for."""

from __future__ import annotations

import pytest

from striate.errors import UsageError
from striate.hierarchy import protocol
from striate.learning import PSD, ConvolutionalPSD, GaborFilters, RandomFilters, TemplateFilters, TopographicPSD


def test_each_letter_is_a_learner() -> None:
    kinds = [type(learner) for learner in protocol("GUCRTI")]
    assert kinds == [GaborFilters, PSD, ConvolutionalPSD, RandomFilters, TemplateFilters, TopographicPSD]


def test_later_stages_learn_at_a_lower_sparsity_than_the_first() -> None:
    for letters in ("UU", "CC", "II"):
        first, later = (learner.get_params() for learner in protocol(letters))
        assert later["sparsity"] < first["sparsity"]
        assert later["max_batches"] < first["max_batches"]


def test_gabors_are_for_the_first_stage() -> None:
    with pytest.raises(UsageError, match="'G' in protocol 'UG' names no filters of stage 2: write one of R, T, U, C"):
        protocol("UG")
