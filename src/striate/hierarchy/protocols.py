"""The papers' protocols: one letter per stage for the origin of its filters."""

from __future__ import annotations

from striate.errors import UsageError
from striate.hierarchy.greedy import Learner
from striate.learning import PSD, ConvolutionalPSD, GaborFilters, RandomFilters, TemplateFilters, TopographicPSD
from striate.parameters import Text, checked

__all__ = ["protocol"]


def protocol(letters: str) -> list[Learner]:
    """Learners for `striate.hierarchy.learn_filters`, one per stage.

    Parameters
    ----------
    letters : str
        For each stage ``R`` (random), ``U`` (unsupervised: predictive sparse decomposition of patches), ``C`` (that of
        whole images, by convolution), ``I`` (invariant: `TopographicPSD`, for a stage that pools over a sheet, as
        ``512F16x16 - TORUS32x16:6x6/2``), ``G`` (Gabor, in the first stage only) or ``T`` (templates: patches of the
        stage's input). ``"UU"`` is two stages of PSD.

    Raises
    ------
    UsageError
        If a letter is not one of these; the message names it and the letters that are possible.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for object recognition?",
    ICCV 2009, section 3: all but ``C`` and ``I``. Supervised refinement, its ``+``, changes the filters and is not
    supported here. Kavukcuoglu et al., "Learning convolutional feature hierarchies for visual recognition", NIPS 2010:
    ``C``. Kavukcuoglu, Ranzato, Fergus, LeCun, CVPR 2009: ``I``.

    Examples
    --------
    >>> [type(learner).__name__ for learner in protocol("GT")]
    ['GaborFilters', 'TemplateFilters']
    """
    letters = checked("protocol", letters, Text()) if letters != "" else ""
    learners: list[Learner] = []
    for letter in letters:
        # Features of later stages are already sparse and smooth: a lower sparsity, fewer batches, ten steps. Crops of
        # their maps take ten times as long as crops of images: half as many, three rounds of descent, and 100 batches.
        # With 300 instead, 34 classes of Caltech-101 are told apart as well (60.0 % after 59.7 %, on validation images
        # and with a smaller second stage). On held-out training images of all classes, a second stage at sparsity 0.5
        # has 62.9 % (mean of two seeds), at 1 has 60.2, at 0.25 and 0.12 has 62.3 and 61.5, with ten rounds 61.7 and
        # with 200 batches 60.4; one from patches has 62.1 on the same first stage, and 62.0 on one from patches.
        choices: dict[str, Learner] = {
            "R": RandomFilters(),
            "T": TemplateFilters(),
            "U": PSD(sparsity=0.3, max_batches=300, n_inference_steps=10) if learners else PSD(sparsity=0.5),
            "C": ConvolutionalPSD(sparsity=0.5, batch_size=8, max_batches=100, n_inference_steps=3)
            if learners
            else ConvolutionalPSD(),
            "I": TopographicPSD(sparsity=1.0, max_batches=300) if learners else TopographicPSD(),
        }
        if not learners:
            choices["G"] = GaborFilters()
        if letter not in choices:
            raise UsageError(
                f"{letter!r} in protocol {letters!r} names no filters of stage {len(learners) + 1}: "
                f"write one of {', '.join(choices)} for each stage"
            )
        learners.append(choices[letter])
    if not learners:
        raise UsageError("a protocol needs a letter for each stage, such as U or RR")
    return learners
