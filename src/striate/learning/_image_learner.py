"""What learners of convolutional filters share: images in, pictures of filters, and a kernel size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.figures.drawn import DrawnEstimator, Shown
from striate.learning._images import Images
from striate.learning.online import OnlineLearner
from striate.parameters import check_parameters, parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ImageLearner"]

_DRAWABLE = (1, 3)  # channels


class ImageLearner(OnlineLearner, DrawnEstimator, TransformerMixin, BaseEstimator):
    """An online learner whose samples are images, and whose `components_` are (n_components, channels, height, width).

    A subclass has the parameter `kernel_size`.
    """

    def plot_components(self, *, columns: int | None = None) -> Figure:
        """Draw the filters, each scaled to its own strongest weight.

        Parameters
        ----------
        columns : int, optional
            Filters per row; by default about as many as there are rows.
        """
        check_is_fitted(self)
        return Shown(self.components_, self._caption()).draw(columns)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _kernel(self) -> tuple[int, int]:
        size: int | tuple[int, int] = parameter(self, "kernel_size")
        return (size, size) if isinstance(size, int) else size

    def _learned_from(self, X: Any, masks: Any = None, *, reset: bool) -> Images:
        """Images to learn from: any, or with the channels and the type of those before."""
        known: dict[str, Any] = {}
        if not reset:
            known = {"n_channels": self.components_.shape[1], "dtype": self.components_.dtype}
        return Images(X, masks, who=type(self).__name__, kernel=self._kernel, **known)

    def _known(self, X: Any, masks: Any = None) -> Images:
        """Images for a fitted learner, in their own type."""
        check_is_fitted(self)
        check_parameters(self, self._rules)
        n_channels = self.components_.shape[1]
        return Images(X, masks, who=type(self).__name__, kernel=self.components_.shape[2:], n_channels=n_channels)

    def _caption(self) -> str:
        n, _, height, width = self.components_.shape
        return f"{n:,} filters of {height}×{width}"

    def _shown(self) -> Shown | None:
        if not hasattr(self, "components_") or self.components_.shape[1] not in _DRAWABLE:
            return None
        return Shown(self.components_, self._caption())
