"""Small problems, and the slow truth about them: an explicit dictionary whose units are the shifted filters."""

from __future__ import annotations

from typing import Any

import numpy as np


def problem(
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = (12, 14),
    side: tuple[int, int] = (3, 4),
    n_maps: int = 5,
    n_channels: int = 1,
    dtype: Any = np.float64,
) -> tuple[np.ndarray, np.ndarray]:
    """An image (n_channels, height, width) and filters (n_maps, n_channels, height, width) of different norms."""
    filters = rng.standard_normal((n_maps, n_channels, *side))
    filters *= rng.uniform(0.5, 2, n_maps)[:, None, None, None] / np.sqrt((filters**2).sum((1, 2, 3), keepdims=True))
    return rng.standard_normal((n_channels, *size)).astype(dtype), filters.astype(dtype)


def toeplitz(filters: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every filter at every position as a row, (n_maps · n_rows · n_columns, n_channels · height · width)."""
    n_maps, n_channels, h, w = filters.shape
    n_rows, n_columns = height - h + 1, width - w + 1
    units = np.zeros((n_maps, n_rows, n_columns, n_channels, height, width))
    for k in range(n_maps):
        for i in range(n_rows):
            for j in range(n_columns):
                units[k, i, j, :, i : i + h, j : j + w] = filters[k]
    return units.reshape(n_maps * n_rows * n_columns, -1)


def kkt_residual(
    image: np.ndarray,
    maps: np.ndarray,
    filters: np.ndarray,
    sparsity: Any,
    *,
    positive: bool = False,
    mask: np.ndarray | None = None,
) -> float:
    """Distance of 0 from the subdifferential of the objective, over all coefficients (Karush, Kuhn, Tucker)."""
    units = toeplitz(filters.astype(float), *image.shape[1:])
    weights = np.ones(image.shape) if mask is None else np.broadcast_to(mask, image.shape).astype(float) ** 2
    code = maps.astype(float).reshape(-1)
    residual = np.where(weights > 0, image, 0).reshape(-1) - code @ units
    slope = units @ (weights.reshape(-1) * residual)
    bounds = np.broadcast_to(np.asarray(sparsity, float).reshape(-1, 1, 1), maps.shape).reshape(-1)
    at_zero = np.maximum((slope if positive else np.abs(slope)) - bounds, 0)
    active = np.flatnonzero(code)
    at_zero[active] = np.abs(slope[active] - bounds[active] * np.sign(code[active]))
    return float(at_zero.max())
