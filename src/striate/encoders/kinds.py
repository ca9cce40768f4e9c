"""Encoders by name, each as a dictionary starts it."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from striate.coding.prepared_dictionary import PreparedDictionary
from striate.encoders._encoder import Encoder, TrainableEncoder, as_prepared
from striate.parameters import Choice, Integer, Real, checked
from striate.progress import Progress
from striate.randomness import RandomState

__all__ = ["ENCODERS", "encoder_from_dictionary", "train_predictor"]

# "tanh" learns its filters with the dictionary, in PSD; no dictionary gives them.
ENCODERS = ("tanh", "linear", "shrinkage", "smooth shrinkage", "lista", "lcod")
_LEAST_SPARSITY = 1e-3  # thresholds are above 0
SMALL = 0.1  # norm of the first filters of a linear encoder, and of a tangent's, which starts in its linear range


def encoder_from_dictionary(
    kind: str, components: ArrayLike | PreparedDictionary, sparsity: float, steps: int = 3
) -> Encoder:
    """An encoder to train from: for shrinkages and LISTA the first steps of ISTA, for LCoD those of greedy descent.

    Parameters
    ----------
    kind : {"linear", "shrinkage", "smooth shrinkage", "lista", "lcod"}
    components : float (n_components, n_features) or PreparedDictionary
        Rows of unit norm for "lcod".
    sparsity : float
        Weight of the L1 term beside ½‖y − zD‖².
    steps : int, default 3
        Shrinkages of "lista", updates of one unit of "lcod".
    """
    from striate.encoders.lcod import LCoD
    from striate.encoders.linear import LinearEncoder
    from striate.encoders.lista import LISTA
    from striate.encoders.shrinkage import ShrinkageEncoder, SmoothShrinkageEncoder

    kind = checked("kind", kind, Choice(*ENCODERS[1:]))
    sparsity, steps = checked("sparsity", sparsity, Real(low=0)), checked("steps", steps, Integer(low=1))
    prepared, weight = as_prepared(components), max(sparsity, _LEAST_SPARSITY)
    if kind == "linear":
        units = prepared.components
        return LinearEncoder(SMALL * units, 0 * units[:, 0])
    simple: dict[str, Any] = {"shrinkage": ShrinkageEncoder, "smooth shrinkage": SmoothShrinkageEncoder}
    if kind in simple:
        encoder: Encoder = simple[kind].from_dictionary(prepared, weight)
        return encoder
    if kind == "lista":
        return LISTA.from_dictionary(prepared, weight, steps)
    return LCoD.from_dictionary(prepared, weight, steps)


def train_predictor(
    kind: str,
    signals: NDArray[Any],
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float,
    steps: int = 3,
    *,
    n_batches: int = 5000,
    random_state: RandomState = None,
    progress: Progress | None = None,
) -> Encoder:
    """An encoder that has learned to predict the optimal codes of a dictionary.

    Parameters
    ----------
    kind, sparsity, steps
        As in `encoder_from_dictionary`.
    signals : float (n_samples, n_features)
        Their optimal codes are inferred here, and learned from.
    dictionary : float (n_components, n_features) or PreparedDictionary
    n_batches : int, default 5000
        Of gradients; a linear encoder takes none.
    random_state : int, Generator, RandomState or None
    progress : Progress, optional
    """
    from striate.coding.solving import infer

    prepared = as_prepared(dictionary)
    start = encoder_from_dictionary(kind, prepared, sparsity, steps)
    codes = infer(signals, prepared, sparsity, sparse_output=True)
    if isinstance(start, TrainableEncoder):
        return start.fit(signals, codes, n_batches=n_batches, random_state=random_state, progress=progress)
    return type(start).fit(signals, codes)  # type: ignore[attr-defined]
