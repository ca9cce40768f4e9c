"""The kinds of encoders: each word stands for an encoder with default options."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.encoders._encoder import Encoder
from striate.parameters import Choice, Real, Rule, checked
from striate.progress import Progress
from striate.randomness import RandomState

__all__ = ["ENCODERS", "LEAST_SPARSITY", "EncoderRule", "make_encoder", "train_predictor"]

# Each kind and its class; a module is imported when its encoder is first used.
ENCODERS: dict[str, str] = {
    "tanh": "striate.encoders.tanh.TanhEncoder",
    "linear": "striate.encoders.linear.LinearEncoder",
    "shrinkage": "striate.encoders.shrinkage.ShrinkageEncoder",
    "smooth shrinkage": "striate.encoders.shrinkage.SmoothShrinkageEncoder",
    "lista": "striate.encoders.lista.LISTA",
    "lcod": "striate.encoders.lcod.LCoD",
}
LEAST_SPARSITY = 1e-3  # used if the energy has no L1 term, since thresholds must be above 0


def make_encoder(encoder: str | Encoder, **options: Any) -> Encoder:
    """A new encoder without arrays.

    Parameters
    ----------
    encoder : str or Encoder
        A word of `ENCODERS`, for the encoder with its default options; or an encoder, whose options are copied.
    **options
        Options to set.

    Examples
    --------
    >>> make_encoder("lista", steps=5)
    LISTA(steps=5)
    """
    if isinstance(encoder, Encoder):
        made: Encoder = clone(encoder)
    else:
        module, _, name = ENCODERS[checked("encoder", encoder, Choice(*ENCODERS))].rpartition(".")
        made = getattr(import_module(module), name)()
    return made.set_params(**options)


class EncoderRule(Rule):
    """Accepts a word of `ENCODERS` or an encoder, and converts it to a new encoder without arrays."""

    def _take(self, value: object) -> Encoder:
        if isinstance(value, Encoder) or (isinstance(value, str) and value in ENCODERS):
            return make_encoder(value)
        raise ValueError

    def __str__(self) -> str:
        return f"{Choice(*ENCODERS)}, or an encoder of striate.encoders"


def train_predictor(
    encoder: str | Encoder,
    signals: NDArray[Any],
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float,
    *,
    n_batches: int = 5000,
    random_state: RandomState = None,
    progress: Progress | None = None,
) -> Encoder:
    """A new encoder that has learned to predict the optimal codes of a dictionary.

    Parameters
    ----------
    encoder : str or Encoder
        As in `make_encoder`.
    signals : float (n_samples, n_features)
        Training signals, whose optimal codes are inferred here.
    dictionary : float (n_components, n_features) or PreparedDictionary
        For LCoD, rows must have unit norm.
    sparsity : float
        Weight of the L1 term beside ½‖y − zD‖².
    n_batches : int, default 5000
        Number of training batches; not used by a linear encoder.
    random_state : int, Generator, RandomState or None
    progress : Progress, optional
    """
    from striate.coding.solving import infer

    prepared = as_prepared(dictionary)
    made = make_encoder(encoder).start(prepared, max(checked("sparsity", sparsity, Real(low=0)), LEAST_SPARSITY))
    codes = infer(signals, prepared, sparsity, sparse_output=True)
    return made.fit(signals, codes, n_batches=n_batches, random_state=random_state, progress=progress)
