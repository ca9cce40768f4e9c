"""How a network is refined: the options of gradient descent, and what it records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from striate.parameters import Boolean, Choice, Integer, Real, Rule, checked_attribute

__all__ = ["EpochRecord", "RefinementOptions"]

_RULES: dict[str, Rule] = {
    "n_epochs": Integer(low=1),
    "batch_size": Integer(low=1),
    "optimizer": Choice("adamw", "sgd"),
    "learning_rate": Real(above=0),
    "momentum": Real(low=0, below=1),
    "weight_decay": Real(low=0),
    "start_decay": Real(low=0),
    "warm_up": Real(low=0, below=1),
    "label_smoothing": Real(low=0, below=1),
    "dropout": Real(low=0, below=1),
    "shift": Integer(low=0),
    "mirror": Boolean(),
    "elastic": Real(low=0),
    "validation_fraction": Real(low=0, below=1),
    "patience": Integer(low=1) | None,
    "all_labels": Choice("never", "better", "always"),
    "n_steps": Integer(low=1) | None,
    "device": Choice("auto", "cpu", "cuda"),
    "random_state": Integer(low=0),
}


@dataclass(frozen=True)
class RefinementOptions:
    """Options of `refine`.

    Steps and decays are relative to the root mean square of each array of weights before refinement, since filters,
    gains and weights of the classifier have different scales.

    Parameters
    ----------
    n_epochs : int
        Passes over the training images. The step size falls to 0 over all of them, along half a cosine.
    batch_size : int
    optimizer : "adamw" or "sgd"
        Adam with decoupled weight decay (Loshchilov and Hutter 2019), or gradient descent with Nesterov's momentum.
    learning_rate : float
        The largest step size. That of "adamw" is how much of its root mean square a weight changes in a step: 0.02
        suited two stages of 16 and 32 maps as well as of 64 and 256; 0.05 was a little better for the former and too
        large for the latter, and 0.005 too small for both (training digits, development split). "sgd" needs less, about
        0.001.
    momentum : float
        For "sgd".
    weight_decay : float
        Fraction by which filters, units and the classifier's weights shrink per step, relative to the learning rate;
        biases, gains, thresholds and means do not.
    start_decay : float
        Weight decay of the linear classifier with which refinement begins, relative to the number of features, which is
        the mean squared norm of standardized samples; 0: begin with the given classifier. That one separates nearly
        all training images, and leaves no slopes from which filters could learn: with 6,000 digits, six epochs from
        there took the error on held-out ones from 2.1 to 1.9 %, and from small weights to 1.6 %.
    warm_up : float
        Fraction of all steps during which the step size rises from 0.
    label_smoothing : float
        Probability that the targets share evenly among all classes (Szegedy et al. 2016).
    dropout : float
        Fraction of the classifier's inputs that are set to 0 in training.
    shift : int
        Training images are moved by up to so many pixels along both axes; their edge is repeated.
    mirror : bool
        Whether half of the training images are mirrored; for classes for which left and right do not matter.
    elastic : float
        Training images are distorted elastically (Simard et al. 2003): points are displaced by this many pixels in the
        root mean square along each axis, smoothly over a seventh of the image's side. The paper's distortions of digits
        of 28 pixels are 1.4. For handwriting and other shapes that keep their meaning when they are bent.
    validation_fraction : float
        Fraction of each class that is held out to choose the number of steps, and to judge the result; 0 for all
        epochs without a choice.
    patience : int or None
        Training ends when the held-out images have not been classified better for so many epochs; None: it does not.
    all_labels : "never", "better" or "always"
        Whether, after the number of steps was chosen on held-out images, training is repeated with them, for as many
        steps and with the same step sizes: "better" only if refinement is better than none.
    n_steps : int or None
        Steps after which training ends, if not after all epochs; the step size falls over all epochs none the less.
    device : "auto", "cpu" or "cuda"
        "auto" is a GPU where torch finds one.
    random_state : int
        Seed of the order of images, of their changes and of dropout.
    """

    n_epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-2
    momentum: float = 0.9
    weight_decay: float = 0.05
    start_decay: float = 3e-4
    warm_up: float = 0.05
    label_smoothing: float = 0.0
    dropout: float = 0.0
    shift: int = 0
    mirror: bool = False
    elastic: float = 0.0
    validation_fraction: float = 0.2
    patience: int | None = 8
    all_labels: Literal["never", "better", "always"] = "better"
    n_steps: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    random_state: int = 0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, checked_attribute(self, name, rule))

    def share(self, step: int, n_steps: int) -> float:
        """The step size at a step, from 0, of a schedule of `n_steps`, as a fraction of the largest."""
        n_warm = self.warm_up * n_steps
        warm = min(1.0, (step + 1) / n_warm) if n_warm else 1.0
        done = max(0.0, step - n_warm) / max(n_steps - n_warm, 1.0)
        return warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class EpochRecord(NamedTuple):
    """What was measured after an epoch.

    Attributes
    ----------
    step : int
        Steps so far; 0 before the first.
    loss, accuracy : float or None
        Of the training images, as they were when they were learned; None before the first step.
    validation_loss, validation_accuracy : float or None
        Of the images that were held out; None without any. The loss is the cross-entropy, without smoothing.
    """

    step: int
    loss: float | None
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
