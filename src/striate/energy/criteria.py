"""The talk's ways to keep the energy high where there are no data, as losses with their exact gradients.

Each takes a network from the plane to one number, the energy, and points; it returns the loss and its gradient by the
network's parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from striate.energy._network import Network

__all__ = ["Loss", "contrast", "denoising_score_matching", "likelihood", "maximum_likelihood", "score_matching"]


class Loss(NamedTuple):
    """A criterion's value and its gradient by the parameters."""

    value: float
    gradients: dict[str, np.ndarray]


def maximum_likelihood(network: Network, points: np.ndarray, grid_points: np.ndarray, cell: float) -> Loss:
    """Mean E(points) + log Z: minus the log-likelihood, with Z = ∫ exp(−E) by quadrature.

    The gradient pushes the energy of the data down and pulls it up elsewhere, at each point of the grid in proportion
    to exp(−E) / Z.

    Parameters
    ----------
    network : Network
    points : float (n_points, 2)
        Data.
    grid_points : float (n_cells, 2)
        The nodes of the quadrature; the area of the cell around each is `cell`.
    cell : float
    """
    jets, tape = network.jets(np.vstack([points, grid_points]), 0)
    value, weights = likelihood(jets[0, :, 0].astype(np.float64), len(points), cell)
    return Loss(value, network.backward(tape, weights[np.newaxis, :, np.newaxis]))


def likelihood(energies: np.ndarray, n_points: int, cell: float) -> tuple[float, np.ndarray]:
    """Minus the mean log-likelihood, and its derivative by each energy.

    Parameters
    ----------
    energies : float64 (n_points + n_cells,)
        Energies of the data, then of the quadrature's nodes.
    n_points : int
    cell : float
        The area of a node's cell.
    """
    lowest = energies[n_points:].min()
    boltzmann = np.exp(lowest - energies[n_points:])
    total = boltzmann.sum()
    value = energies[:n_points].mean() + np.log(total * cell) - lowest
    return float(value), np.concatenate([np.full(n_points, 1 / n_points), -boltzmann / total])


def contrast(network: Network, points: np.ndarray, samples: np.ndarray) -> Loss:
    """Mean E(points) − mean E(samples): contrastive divergence, with samples from Markov chains.

    With samples from exp(−E) / Z the expected gradient is that of maximum likelihood.

    Parameters
    ----------
    network : Network
    points : float (n_points, 2)
        Data, whose energy is pushed down.
    samples : float (n_samples, 2)
        Points whose energy is pulled up.

    References
    ----------
    Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.
    """
    jets, tape = network.jets(np.vstack([points, samples]), 0)
    weights = np.concatenate([np.full(len(points), 1 / len(points)), np.full(len(samples), -1 / len(samples))])
    return Loss(float(weights @ jets[0, :, 0]), network.backward(tape, weights[np.newaxis, :, np.newaxis]))


def score_matching(network: Network, points: np.ndarray) -> Loss:
    """Mean of ½‖∇E‖² − tr ∇²E: at the data, the slope becomes small and the curvature large.

    It is, up to a constant, half the mean squared distance between the slopes of E and of minus the data's log
    density, without knowing that density.

    Parameters
    ----------
    network : Network
    points : float (n_points, 2)

    References
    ----------
    Hyvärinen, "Estimation of non-normalized statistical models by score matching", JMLR 6, 2005, equation 4.
    """
    axes = points.shape[1]
    jets, tape = network.jets(points, 2)
    slopes, curvatures = jets[1 : 1 + axes], jets[1 + axes :]
    value = 0.5 * np.square(slopes).sum() - curvatures.sum()
    weights = np.concatenate([np.zeros_like(jets[:1]), slopes, -np.ones_like(curvatures)]) / len(points)
    return Loss(float(value) / len(points), network.backward(tape, weights))


def denoising_score_matching(network: Network, points: np.ndarray, noise: np.ndarray, deviation: float) -> Loss:
    """Mean of ½‖∇E(y + noise) − noise / deviation²‖²: the slope leads back from a noisy point to a clean one.

    Its minimum is the energy of the noisy data: the density is blurred, but no second derivative is needed.

    Parameters
    ----------
    network : Network
    points : float (n_points, 2)
    noise : float (n_points, 2)
        Gaussian noise with standard deviation `deviation`.
    deviation : float

    References
    ----------
    Vincent, "A connection between score matching and denoising autoencoders", Neural Computation 23, 2011,
    equation 9.
    """
    jets, tape = network.jets(points + noise, 1)
    wrong = jets[1:, :, 0] - noise.T / deviation**2
    weights = np.concatenate([np.zeros_like(jets[:1]), wrong[:, :, np.newaxis]]) / len(points)
    return Loss(0.5 * float(np.square(wrong).sum()) / len(points), network.backward(tape, weights))
