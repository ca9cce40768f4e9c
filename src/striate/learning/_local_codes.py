"""Codes of images for local fields: the energy with pools of complex cells, and its minimum by majorization.

The energy of one image is

    E(z) = ½‖m ⊙ (x − Σᵤ zᵤ wᵤ)‖² + α Σ_c √(s_c + ε),    s_c = Σᵤ g(u − c) zᵤ²

which is convex, and with ε > 0 smooth. At any codes y, with residual r = m² ⊙ (x − Σ yᵤ wᵤ), it is bounded from above
by

    E(y) − <z − y, Wᵀr> + ½L‖z − y‖² + ½α Σᵤ λᵤ (zᵤ² − yᵤ²),    λᵤ = Σ_c g(u − c) / √(s_c(y) + ε),

if L is at least the largest eigenvalue of Wᵀm²W: the root lies below its tangent. The bound touches E at y and has its
minimum at (L y + Wᵀr) / (L + αλ), so that a step there never raises the energy. Steps start from a point that is ahead
by the momentum of Nesterov's method, which restarts for an image whose step turns back (O'Donoghue, Candès, "Adaptive
restart for accelerated gradient schemes", 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional.windows import coverage
from striate.kernels.tiles import TOGETHER
from striate.learning._field_kernels import (
    compile_outer,
    compile_products,
    compile_step,
    compile_sums,
    compile_windowed,
)
from striate.learning._local_sheet import Axis, LocalSheet, in_groups, pool_axis
from striate.threads import run_ranges

__all__ = ["LocalCodes", "Penalty"]

_MARGIN = 1.1  # of the bound above the estimate of the largest eigenvalue, which comes from below


class Penalty(NamedTuple):
    """α, σ and the stride of the pools, and ε."""

    sparsity: float
    sigma: float
    stride: int
    epsilon: float


class LocalCodes:
    """Images of one size, given fields: products, sums, the energy and its minimum.

    Codes and images are in groups (`in_groups`). Threads take groups, or rows of tiles, which gives the same bits for
    any number of threads.

    Parameters
    ----------
    sheet : LocalSheet
    penalty : Penalty
    dtype : float32 or float64
    """

    def __init__(self, sheet: LocalSheet, penalty: Penalty, dtype: np.dtype[Any]) -> None:
        self.sheet, self.penalty, self.dtype = sheet, penalty, np.dtype(dtype)
        real = self.dtype.type
        self._alpha, self._epsilon = real(penalty.sparsity), real(penalty.epsilon)
        channels, height, width = sheet.image_shape
        own = sheet.n_rows + sheet.kernel[0] - 1, sheet.n_columns + sheet.kernel[1] - 1
        weights = np.zeros((channels, height, width, 1), self.dtype)
        weights[:, : own[0], : own[1], 0] = coverage(*own, *sheet.kernel)
        self.weights = weights
        axes = [
            pool_axis(n, padded, penalty.sigma, penalty.stride)
            for n, padded in zip((sheet.n_rows, sheet.n_columns), sheet.padded, strict=True)
        ]
        self.pool_shape = len(axes[0]), len(axes[1])
        self._to_pools = [Axis.of(matrix, self.dtype) for matrix in axes]
        self._to_units = [Axis.of(np.ascontiguousarray(matrix.T), self.dtype) for matrix in axes]

    # Fields

    def prepare(self, fields: NDArray[Any]) -> NDArray[Any]:
        """Fields (n_fields, channels, height, width) in the form of the kernels."""
        return self.sheet.packed(np.ascontiguousarray(fields, self.dtype))

    def grouped(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (n, channels, height, width) in groups."""
        return in_groups(np.ascontiguousarray(images, self.dtype), self.sheet.image_shape[1:])

    def there(self, n_images: int, n_groups: int) -> NDArray[Any]:
        """1 for each image of some groups, 0 for what fills up the last one; (n_groups, 1, 1, together)."""
        together = TOGETHER[self.dtype]
        return (np.arange(n_groups * together) < n_images).astype(self.dtype).reshape(n_groups, 1, 1, together)

    def products(self, images: NDArray[Any], packed: NDArray[Any]) -> NDArray[Any]:
        """Products of all fields with their windows."""
        codes = self._empty_codes(images)
        kernel = compile_products(self.dtype)
        self._over(len(images), lambda first, last: self._own(kernel, first, last, codes, images, packed))
        return codes

    def sums(self, codes: NDArray[Any], packed: NDArray[Any]) -> NDArray[Any]:
        """Images that codes stand for."""
        images = np.empty((len(codes), *self.sheet.image_shape, codes.shape[-1]), self.dtype)
        kernel = compile_sums(self.dtype)
        self._over(len(codes), lambda first, last: kernel(first, last, codes, images, packed))
        return images

    def outer(self, codes: NDArray[Any], images: NDArray[Any]) -> NDArray[Any]:
        """Sums of codes times windows, over images and places: (n_fields, channels, height, width)."""
        height, width = self.sheet.kernel
        shape = (*self.sheet.tiles, self.sheet.n_channels, (height + 1) * (width + 1), 4)
        found = np.empty(shape, self.dtype)
        kernel = compile_outer(self.dtype)
        self._over(shape[0], lambda first, last: kernel(first, last, codes, images, found, len(codes)))
        return self.sheet.unpacked(found)

    def residual(self, images: NDArray[Any], codes: NDArray[Any], packed: NDArray[Any]) -> NDArray[Any]:
        """m² ⊙ (x − Σ z w)."""
        found = self.sums(codes, packed)
        np.subtract(images, found, out=found)
        found *= self.weights
        return found

    # Pools

    def pools(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Complex cells √(s + ε), (n_groups, pool rows, pool columns, together)."""
        found = np.empty((len(codes), *self.pool_shape, codes.shape[-1]), self.dtype)
        for group in range(len(codes)):
            self._windowed(np.square(codes[group]), found[group], self._to_pools)
        found += self._epsilon
        return np.sqrt(found, out=found)

    def curvatures(self, codes: NDArray[Any]) -> NDArray[Any]:
        """λ at codes."""
        found = np.empty_like(codes)
        inverse = 1 / self.pools(codes)
        for group in range(len(codes)):
            self._windowed(inverse[group], found[group], self._to_units)
        return found

    def energy(self, images: NDArray[Any], codes: NDArray[Any], packed: NDArray[Any]) -> NDArray[np.float64]:
        """The energy of each image, (n_groups · together,)."""
        residual = images - self.sums(codes, packed)
        error = 0.5 * np.einsum("gchwb,chw->gb", np.square(residual, dtype=np.float64), self.weights[..., 0])
        pools = self.pools(codes).sum(axis=(1, 2), dtype=np.float64)
        return np.asarray(error + self.penalty.sparsity * pools).reshape(-1)

    def gradient(self, images: NDArray[Any], codes: NDArray[Any], packed: NDArray[Any]) -> NDArray[Any]:
        """The gradient of the energies with respect to the codes."""
        slopes = self.products(self.residual(images, codes, packed), packed)
        return np.asarray(self._alpha * self.curvatures(codes) * codes - slopes)

    # The minimum

    def bound(self, packed: NDArray[Any], vectors: NDArray[Any], n_steps: int) -> tuple[NDArray[Any], float]:
        """Power iterations of Wᵀm²W from several vectors at once: the new vectors, and the largest quotient.

        Fields overlap only nearby, so that eigenvectors are local: from a single vector, a mode that grows elsewhere on
        the sheet would be noticed too late.

        Parameters
        ----------
        packed : from `prepare`
        vectors : (rows, columns, together)
        n_steps : int
        """
        group, value = vectors[np.newaxis].copy(), 0.0
        for _ in range(n_steps):
            norms = np.sqrt(np.einsum("grcb,grcb->b", group, group))
            group /= np.where(norms > 0, norms, 1)
            image = self.sums(group, packed)
            image *= self.weights
            group = self.products(image, packed)
            value = float(np.sqrt(np.einsum("grcb,grcb->b", group, group).max()))
        return group[0], value

    def first_vectors(self, rng: np.random.Generator) -> NDArray[Any]:
        """Noise from which `bound` may start."""
        shape = (*self.sheet.padded, TOGETHER[self.dtype])
        noise = rng.standard_normal(shape, self.dtype)
        noise[self.sheet.n_rows :] = 0
        noise[:, self.sheet.n_columns :] = 0
        return noise

    def minimize(
        self, images: NDArray[Any], packed: NDArray[Any], start: NDArray[Any], bound: float, n_steps: int,
        tolerance: float = 0.0,
    ) -> NDArray[Any]:  # fmt: skip
        """Codes near the minimum: a number of steps, fewer once the gradients of a group are below a tolerance.

        Parameters
        ----------
        images, start : in groups
        packed : from `prepare`
        bound : float
            The largest eigenvalue, from `bound`.
        n_steps : int
        tolerance : float
            Of the norm of the gradient relative to that at codes of 0, for each image; looked at every ten steps.
        """
        found = np.empty_like(start)
        self._over(len(images), lambda first, last: self._minimize(
            images[first:last], packed, start[first:last], found[first:last], bound, n_steps, tolerance
        ))  # fmt: skip
        return found

    def _minimize(
        self, images: NDArray[Any], packed: NDArray[Any], start: NDArray[Any], found: NDArray[Any], bound: float,
        n_steps: int, tolerance: float,
    ) -> None:  # fmt: skip
        """`minimize` for one group, in this thread."""
        products, sums, step = (make(self.dtype) for make in (compile_products, compile_sums, compile_step))
        codes, ahead, new = start.copy(), start.copy(), np.empty_like(start)
        slopes, curvatures, squares = (np.empty_like(start) for _ in range(3))
        residual = np.empty_like(images)
        pools = np.empty((*self.pool_shape, start.shape[-1]), self.dtype)
        momentum, turned = np.zeros(start.shape[-1], self.dtype), np.zeros(start.shape[-1], self.dtype)
        age = np.ones(start.shape[-1])  # Nesterov's t, for each image
        flat = (-1, start.shape[-1])
        real = self.dtype.type
        bound = real(_MARGIN * bound)
        scale = self._slope_norms(images, packed) if tolerance else None
        for number in range(n_steps):
            sums(0, 1, ahead, residual, packed)
            np.subtract(images, residual, out=residual)
            residual *= self.weights
            self._own(products, 0, 1, slopes, residual, packed)
            np.multiply(ahead, ahead, out=squares)
            self._windowed(squares[0], pools, self._to_pools)
            pools += self._epsilon
            np.sqrt(pools, out=pools)
            np.reciprocal(pools, out=pools)
            self._windowed(pools, curvatures[0], self._to_units)
            older = 0.5 * (1 + np.sqrt(1 + 4 * np.square(age)))
            grown = ((age - 1) / older).astype(self.dtype)
            if scale is not None and number % 10 == 0:
                gradients = self._alpha * curvatures * ahead - slopes
                norms = np.sqrt(np.square(gradients, dtype=np.float64).sum(axis=(0, 1, 2)))
                if (norms <= tolerance * scale).all():
                    codes = ahead
                    break
            step(
                slopes.reshape(flat), curvatures.reshape(flat), codes.reshape(flat), ahead.reshape(flat),
                new.reshape(flat), bound, self._alpha, momentum, grown, turned,
            )  # fmt: skip
            age = np.where(turned <= 0, older, 1.0)
            codes, new = new, codes
        found[...] = codes

    def _slope_norms(self, images: NDArray[Any], packed: NDArray[Any]) -> NDArray[np.float64]:
        """Norms of the gradient at codes of 0, (together,), of one group."""
        slopes = np.empty((1, *self.sheet.padded, images.shape[-1]), self.dtype)
        self._own(compile_products(self.dtype), 0, 1, slopes, images * self.weights, packed)
        return np.asarray(np.sqrt(np.square(slopes, dtype=np.float64).sum(axis=(0, 1, 2))))

    # Loops

    def _own(
        self, kernel: Callable[..., None], first: int, last: int, codes: NDArray[Any], images: NDArray[Any],
        packed: NDArray[Any],
    ) -> None:  # fmt: skip
        """Products, with 0 for units that are not there."""
        kernel(first, last, codes, images, packed)
        codes[first:last, self.sheet.n_rows :] = 0
        codes[first:last, :, self.sheet.n_columns :] = 0

    def _windowed(self, source: NDArray[Any], result: NDArray[Any], axes: list[Axis]) -> None:
        half = np.empty((len(result), *source.shape[1:]), self.dtype)
        zeros = np.zeros(source[0].size, self.dtype)
        compile_windowed(self.dtype)(source, half, result, zeros, *axes[0], *axes[1])

    def _over(self, n: int, function: Callable[[int, int], object]) -> None:
        run_ranges(function, n, size=1)

    def _empty_codes(self, images: NDArray[Any]) -> NDArray[Any]:
        return np.empty((len(images), *self.sheet.padded, images.shape[-1]), self.dtype)
