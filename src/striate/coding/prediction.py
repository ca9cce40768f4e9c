"""Optimal codes of predictive sparse decomposition: they are pulled towards the prediction of an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from striate.coding._own_features import with_own_features
from striate.coding.prepared_dictionary import PreparedDictionary, as_prepared
from striate.coding.solving import infer
from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.samples import as_samples

__all__ = ["infer_with_prediction"]


def infer_with_prediction(
    signals: ArrayLike,
    dictionary: ArrayLike | PreparedDictionary,
    sparsity: float | ArrayLike,
    *,
    prediction: float,
    target: ArrayLike,
    **options: Any,
) -> Any:
    """Codes that minimize ½‖y − zD‖² + sparsity·‖z‖₁ + ½·prediction·‖z − target‖², to a certified gap.

    `energy` computes this energy; `fista` takes a fixed number of steps towards its minimum.

    Parameters
    ----------
    signals : float (n_samples, n_features)
        The codes have their type, float32 or float64.
    dictionary : float (n_components, n_features) or PreparedDictionary
    sparsity : float
        As in `infer`.
    prediction : float
        The weight of the prediction term, at least 0.
    target : float (n_samples, n_components)
        The prediction of an encoder.
    **options
        Options of `infer`: method, positive, tolerance, info and others. The gap is relative to
        ½‖y‖² + ½·prediction·‖target‖².

    Returns
    -------
    ndarray (n_samples, n_components), or Inference with `info`

    Raises
    ------
    UsageError
        As `infer`, and if `target` does not fit the signals and the dictionary.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.coding import infer_with_prediction
    >>> infer_with_prediction(np.array([[3.0, 0.0]]), np.eye(2), 1.0, prediction=1.0, target=np.array([[2.0, 2.0]]))
    array([[2. , 0.5]])
    """
    prepared = as_prepared(dictionary)
    signals = as_samples(signals, name="signals", n_features=prepared.n_features)
    target = as_samples(target, name="target", n_features=prepared.n_components)
    if len(target) != len(signals):
        raise UsageError(f"target has {len(target)} rows, but there are {len(signals)} signals")
    prediction = checked("prediction", prediction, Real(low=0))
    dtype = signals.dtype
    units = with_own_features(prepared.components.astype(dtype), prediction)
    wanted = dtype.type(np.sqrt(prediction)) * target.astype(dtype, copy=False)
    return infer(np.hstack([signals, wanted]), units, sparsity, **options)
