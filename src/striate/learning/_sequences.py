"""Sequences of frames as samples: tables or arrays of three dimensions, their checks and their scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.learning._rows import Rows
from striate.learning._scale import at_scale, centered
from striate.parameters import Rule, check_parameters, parameter
from striate.samples import as_array, estimator_samples

__all__ = ["SequencesOfFrames"]


class SequencesOfFrames:
    """A learner of sequences with the parameters `n_frames` and `remove_mean`; it stands before the other bases.

    Sequences are rows that hold their frames one after the other, so that pipelines, cross-validation and the mini-
    batches of all learners can select them, or arrays (n_sequences, n_frames, n_features), which are the same numbers.
    """

    _rules: ClassVar[Mapping[str, Rule]]
    components_: NDArray[Any]
    scale_: float

    def scaled(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Frames (n_sequences, n_frames, n_features) without their means, divided by `scale_`, in a new array."""
        rows = frames.reshape(-1, frames.shape[-1])
        return at_scale(rows, self.scale_, self._center).reshape(frames.shape)

    @property
    def _center(self) -> Any:
        return centered if parameter(self, "remove_mean") else None

    def _batch(self, samples: Rows, rows: NDArray[np.int64]) -> NDArray[Any]:
        taken = samples[np.sort(rows)].astype(self.components_.dtype, copy=False)
        return self.scaled(taken.reshape(len(taken), parameter(self, "n_frames"), -1))

    def _samples(self, X: Any, *, reset: bool) -> Rows:
        """Sequences as rows: a table in which learners, pipelines and checks of scikit-learn can select samples."""
        check_parameters(self, self._rules)
        n_frames = parameter(self, "n_frames")
        if _is_in_three_dimensions(X):
            X = X if isinstance(X, np.ndarray) else np.asarray(X)
            if X.shape[1] != n_frames:
                raise UsageError(
                    f"TemporalProduct: sequences have {X.shape[1]} frames, and n_frames={n_frames} are learned from: "
                    "cut them, or change n_frames"
                )
            X = X.reshape(len(X), -1)
        rows = Rows(
            estimator_samples(self, X, reset=reset, finite=False, default=np.float32),
            unread="TemporalProduct: the samples",
        )
        n_features, left = divmod(rows.shape[1], n_frames)
        if left:
            raise UsageError(
                f"TemporalProduct: n_features = {rows.shape[1]} cannot be divided by n_frames={n_frames}: a row holds "
                "the frames of a sequence, one after the other"
            )
        if n_features == 1 and parameter(self, "remove_mean"):
            raise UsageError(
                "TemporalProduct: n_features = 1 per frame, and a single value minus its mean is always 0: give frames "
                "of more values, or set remove_mean=False"
            )
        return rows

    def _checked(self, X: Any) -> NDArray[Any]:
        """Sequences of any number of frames, in three dimensions."""
        check_is_fitted(self)
        n_features = self.components_.shape[1]
        if _is_in_three_dimensions(X):
            frames = as_array(X, name="TemporalProduct: the samples", axes=("n_sequences", "n_frames", n_features))
            if not frames.size:
                raise UsageError("TemporalProduct: there are no frames in the samples")
            return frames
        rows = self._samples(X, reset=False)
        return rows[slice(None)].reshape(len(rows), -1, n_features)


def _is_in_three_dimensions(X: Any) -> bool:
    """Whether samples are an array or lists of three dimensions; other objects are for scikit-learn's checks."""
    if not isinstance(X, list | tuple):
        return getattr(X, "ndim", None) == 3
    try:
        return np.ndim(X) == 3
    except ValueError:  # rows of several lengths
        return False
