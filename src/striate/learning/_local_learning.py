"""What one batch teaches local fields: codes, new fields, and a step of the encoder."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from striate.learning._filter_update import unit_filters
from striate.learning._local_codes import LocalCodes

__all__ = ["CodedBatch", "HeldOutSheet", "best_fields", "code_energies"]


class CodedBatch(NamedTuple):
    """Crops of one size, scaled, with their codes; all in groups (`in_groups`)."""

    codes: LocalCodes
    n_images: int
    images: NDArray[Any]
    packed: NDArray[Any]  # the fields
    predicted: NDArray[Any]
    active: NDArray[Any]  # the encoder's activations
    optimal: NDArray[Any]

    def error(self, codes: NDArray[Any]) -> float:
        """Half the mean weighted squared error of codes, per number of the images."""
        square = np.square(self.images - self.codes.sums(codes, self.packed), dtype=np.float64)
        total = np.einsum("gchwb,chw->gb", square, self.codes.weights[..., 0]).reshape(-1)
        return 0.5 * float(total[: self.n_images].sum()) / self.n_numbers

    @property
    def n_numbers(self) -> int:
        """Numbers of all images."""
        sheet = self.codes.sheet
        side_rows, side_columns = sheet.n_rows + sheet.kernel[0] - 1, sheet.n_columns + sheet.kernel[1] - 1
        return self.n_images * sheet.n_channels * side_rows * side_columns


class HeldOutSheet(NamedTuple):
    """Result of an evaluation on held-out crops that are scaled to unit deviation: means per pixel and channel."""

    batch: int
    energy: float  # of the optimal codes
    error: float  # half the weighted squared error of the optimal codes
    predicted_error: float  # the same of the predicted codes

    @classmethod
    def measured(cls, batch: int, coded: CodedBatch) -> Self:
        """Measure the codes of crops."""
        energies = coded.codes.energy(coded.images, coded.optimal, coded.packed)[: coded.n_images]
        energy = float(energies.sum()) / coded.n_numbers
        return cls(batch, energy, coded.error(coded.optimal), coded.error(coded.predicted))

    def in_words(self) -> str:
        """One line for the progress."""
        return f"energy {self.energy:.4f}, error {self.error:.4f}, predicted {self.predicted_error:.4f}"


def code_energies(coded: CodedBatch) -> NDArray[Any]:
    """Mean squares of the codes of each field, (n_fields,)."""
    sheet = coded.codes.sheet
    squares = np.einsum("grcb,grcb->rc", coded.optimal, coded.optimal)
    return np.asarray(sheet.gathered(squares) / (coded.n_images * sheet.n_places()), coded.codes.dtype)


def best_fields(
    coded: CodedBatch, fields: NDArray[Any], energies: NDArray[Any], window: NDArray[Any], rate: float
) -> NDArray[Any]:
    """Fields of unit norm after a step towards those that are best for the codes, each times the window.

    With codes of mean square a, the field that lowers the error most, all others being as they are, is
    w + (codes · residual) / (n·a). Fields come to rest where each is the best one times the window, whatever the rate:
    a window that only multiplied the steps would not keep them from drifting, and one that multiplied the fields after
    every step would narrow them the more, the smaller the steps.

    Parameters
    ----------
    coded : CodedBatch
    fields : (n_fields, channels, height, width)
    energies : (n_fields,)
        Running means of `code_energies`.
    window : (height, width)
    rate : float
    """
    codes, real = coded.codes, coded.codes.dtype.type
    n = coded.n_images * codes.sheet.n_places()
    # The mean of all fields is added, as in PSD, so that a field that is hardly used does not follow single images.
    curvature = np.maximum(n * (energies + energies.mean()), 1e-12).astype(codes.dtype)
    step = codes.outer(coded.optimal, codes.residual(coded.images, coded.optimal, coded.packed))
    best = fields + step / curvature[:, np.newaxis, np.newaxis, np.newaxis]
    best *= window.astype(codes.dtype)
    return unit_filters(real(1 - rate) * fields + real(rate) * best)
