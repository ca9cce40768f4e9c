"""Adam, the stochastic gradient method that scales every parameter's step by its recent gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from striate.learning._adam_kernel import adam_kernel

__all__ = ["Adam"]

_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8  # the paper's


class Adam:
    """Updates parameters in place.

    Parameters
    ----------
    parameters : dict of str to ndarray, float
        The arrays to learn, C-contiguous; they are changed in place.
    rate : dict of str to float
        Step size of each parameter; the paper's 1e-3 suits filters whose norms are about 1.

    References
    ----------
    Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    def __init__(self, parameters: dict[str, np.ndarray], rate: Mapping[str, float]) -> None:
        self.parameters = parameters
        self.rate = dict(rate)
        self.n_steps = 0
        self.first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: np.zeros_like(value) for name, value in parameters.items()}

    def step(self, gradients: Mapping[str, np.ndarray], share: float = 1.0) -> None:
        """One step of descent, scaled by `share`; gradients have the names and shapes of the parameters."""
        self.n_steps += 1
        # The bias corrections of both moments are combined into one factor, which needs no temporary array.
        second_correction = np.sqrt(1 - _SECOND_DECAY**self.n_steps)
        correction = second_correction / (1 - _FIRST_DECAY**self.n_steps)
        for name, gradient in gradients.items():
            parameter = self.parameters[name]
            arrays = (parameter, np.require(gradient, requirements=["C", "W"]), self.first[name], self.second[name])
            number = parameter.dtype.type
            adam_kernel(parameter.dtype)(
                *(array.reshape(-1) for array in arrays), number(1 - _FIRST_DECAY), number(1 - _SECOND_DECAY),
                number(_EPSILON * second_correction), number(share * correction * self.rate[name]),
            )  # fmt: skip

    def forget(self, units: np.ndarray, axis: int = 0) -> None:
        """Set the moments of units that are initialized again to 0; units lie along `axis` of all parameters."""
        for moments in (self.first, self.second):
            for value in moments.values():
                np.moveaxis(value, axis, 0)[units] = 0

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The moments, for a checkpoint."""
        return {
            **{f"first.{name}": value for name, value in self.first.items()},
            **{f"second.{name}": value for name, value in self.second.items()},
        }

    def restore(self, arrays: Mapping[str, np.ndarray], n_steps: int) -> None:
        """Continue from moments that `to_arrays` returned."""
        self.n_steps = n_steps
        for name in self.parameters:
            self.first[name][...] = arrays[f"first.{name}"]
            self.second[name][...] = arrays[f"second.{name}"]
