"""The duality gap of convolutional codes, which bounds their distance from the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from striate.coding.certificate import Certificate
from striate.coding.convolutional._arguments import checked_images, checked_maps, checked_thresholds
from striate.coding.convolutional._image_task import ImageTask
from striate.coding.convolutional.prepared_filters import PreparedFilters, as_prepared_filters
from striate.parameters import Boolean, checked
from striate.threads import n_threads

__all__ = ["certify_convolutional"]


def certify_convolutional(
    images: Any,
    codes: Any,
    filters: ArrayLike | PreparedFilters,
    sparsity: float | ArrayLike,
    *,
    positive: bool = False,
    mask: Any = None,
) -> Certificate:
    """The objective of convolutional codes, and an upper bound on its distance to the minimum.

    The residual, scaled until no correlation with a filter exceeds that filter's sparsity at any position, is feasible
    for the dual problem and bounds the minimum from below. All sums are in double precision, and only the codes
    themselves are used: it does not matter which program computed them.

    Parameters
    ----------
    images, filters, sparsity, positive, mask : as in `infer_convolutional`
    codes : code maps in the same form as the images
        (n_maps, n_rows, n_columns) for one image, with a further axis in front or a list for several; `SparseMaps` in
        place of arrays.

    Returns
    -------
    Certificate
        With arrays of one number per image; for one image, of one number. `relative_gap` is the gap divided by
        ½‖mask⊙image‖², the objective of an empty code; 0 where image and code are 0.

    Raises
    ------
    UsageError
        For NaN or infinity and shapes that do not fit.

    References
    ----------
    Kim, Koh, Lustig, Boyd, Gorinevsky, "An interior-point method for large-scale l1-regularized least squares", IEEE
    Journal of Selected Topics in Signal Processing 2007, section III.
    """
    prepared = as_prepared_filters(filters)
    positive = checked("positive", positive, Boolean())
    shape = prepared.filters.shape
    found = checked_images(images, mask, shape)
    thresholds = checked_thresholds(sparsity, prepared.n_maps)
    maps = checked_maps(codes, found, shape, "codes")
    results = [
        ImageTask(image, of_mask, prepared, thresholds, positive, n_threads()).certificate(of_image)
        for image, of_mask, of_image in zip(found.items, found.masks, maps, strict=True)
    ]
    return Certificate(*np.array(results, np.float64).reshape(-1, 3).T)
