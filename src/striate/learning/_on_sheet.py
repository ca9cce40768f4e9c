"""What learners of units on a sheet have in common: the sheet, optimal codes, pooled features, and drawings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from striate.coding import Sheet, infer_topographic
from striate.coding.topographic.inference import descend_on_sheet
from striate.coding.topographic.sheet import SIDES
from striate.errors import UsageError
from striate.figures.drawn import Shown
from striate.learning.online import silent_blas
from striate.model_file import ModelFileError
from striate.parameters import Boolean, Choice, Integer, Real, Rule, parameter

__all__ = ["SHEET_RULES", "OnSheet"]

_DEFAULT = (32, 16)  # Kavukcuoglu et al. 2009

SHEET_RULES: dict[str, Rule] = {
    "n_components": Integer(low=1) | None, "sheet": SIDES | None, "window": SIDES | None, "stride": SIDES | None,
    "torus": Boolean(), "weights": Choice("gaussian", "box"), "sparsity": Real(above=0), "epsilon": Real(above=0),
}  # fmt: skip


class OnSheet:
    """A learner with the parameters of `SHEET_RULES`; it stands before the other base classes.

    Attributes
    ----------
    sheet_ : Sheet
    """

    components_: np.ndarray
    sheet_: Sheet

    def _new_sheet(self) -> Sheet:
        """The sheet that the parameters describe."""
        n, shape = parameter(self, "n_components"), parameter(self, "sheet")
        options = {name: parameter(self, name) for name in ("window", "stride", "torus", "weights")}
        try:
            if n is None:
                return Sheet(_DEFAULT if shape is None else shape, **options)
            return Sheet.of(n, shape, **options)
        except UsageError as error:
            raise UsageError(f"{type(self).__name__}: {error}") from None

    @property
    def n_pools_(self) -> int:
        """The number of pools, and of pooled features."""
        return self.sheet_.n_pools

    def transform(self, X: np.ndarray, *, simple: bool = False) -> np.ndarray:
        """The pooled features: how strongly each pool of units responds, whichever of its units do.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            Raw patches: mean removal and scale are part of the model.
        simple : bool, default False
            The codes of the units themselves, with signs, (n_samples, n_components).

        Returns
        -------
        ndarray (n_samples, n_pools), dtype of `X`
            ``√(Σ weight·z²)`` over the units of each pool.
        """
        codes = self._simple(X)
        return codes if simple else self.sheet_.pool(codes)

    def _simple(self, X: np.ndarray) -> np.ndarray:
        """The codes of units that `transform` pools."""
        raise NotImplementedError

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The patches that codes of units represent, ``zD``, in the scale of the raw patches.

        Parameters
        ----------
        X : ndarray (n_samples, n_components), float
            Codes, from ``transform(X, simple=True)`` or `infer`.

        Returns
        -------
        ndarray (n_samples, n_features), dtype of `X`
            With `remove_mean`, patches without their mean, since codes do not hold it.

        Raises
        ------
        UsageError
            For pooled features, which do not tell what their units were.
        """
        check_is_fitted(self)
        shape = np.shape(X)
        if len(shape) == 2 and shape[1] == self.n_pools_ != len(self.components_):
            raise UsageError(
                f"{type(self).__name__}: these are features of {self.n_pools_} pools, which do not tell what their "
                "units were: give codes of units, from transform(X, simple=True) or infer(X)"
            )
        found: np.ndarray = super().inverse_transform(X)  # type: ignore[misc]
        return found

    @property
    def _n_features_out(self) -> int:
        return self.sheet_.n_pools

    @property
    def _n_codes(self) -> int:
        return len(self.components_)

    def _descend(
        self,
        patches: np.ndarray,
        steps: int,
        *,
        start: np.ndarray | None = None,
        prediction: float = 0.0,
        target: np.ndarray | None = None,
    ) -> np.ndarray:
        """Codes of scaled patches after a number of steps towards the least energy."""
        return descend_on_sheet(
            patches @ self.components_.T, self.components_ @ self.components_.T, self.sheet_,
            parameter(self, "sparsity"), epsilon=parameter(self, "epsilon"), steps=steps, start=start,
            prediction=prediction, target=target,
        ).codes  # fmt: skip

    def _optimal(self, patches: np.ndarray, tolerance: float | None, **prediction: Any) -> np.ndarray:
        """Optimal codes of scaled patches, to a certified gap."""
        found: np.ndarray = infer_topographic(
            patches, self.components_.astype(patches.dtype), self.sheet_, parameter(self, "sparsity"),
            epsilon=parameter(self, "epsilon"), tolerance=tolerance, **prediction,
        )  # fmt: skip
        return found

    def _context(self) -> AbstractContextManager[None]:
        # Threads of BLAS wait for more work in a loop, and would take the processor from the solver's.
        return silent_blas()

    def _penalty(self, codes: np.ndarray) -> float:
        """The mean over codes of what sparsity adds to the energy."""
        squares = np.square(self.sheet_.pool(codes), dtype=np.float64)
        roots = np.sqrt(squares + parameter(self, "epsilon")).sum(axis=1)
        return float(parameter(self, "sparsity") * roots.mean())

    def _is_active(self, codes: np.ndarray) -> Any:
        """Which codes exceed √ε: below, the penalty does not tell them from 0."""
        return np.abs(codes) > np.sqrt(parameter(self, "epsilon"))

    def _restore(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)  # type: ignore[misc]
        self.sheet_ = self._new_sheet()
        if self.sheet_.n_units != len(self.components_):
            raise ModelFileError(
                f"the array components has {len(self.components_)} units, but the sheet of {self.sheet_.words} has "
                f"{self.sheet_.n_units}"
            )

    def _as_shown(self, units: np.ndarray, kind: str, shape: tuple[int, ...] | None = None) -> Shown:
        """The mosaic, laid out as the sheet is; a line in rows."""
        shown: Shown = super()._as_shown(units, kind, shape)  # type: ignore[misc]
        return shown._replace(columns=self.sheet_.columns_shown)
