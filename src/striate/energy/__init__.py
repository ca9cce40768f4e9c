"""Energies and densities in the plane: why sparse codes do not collapse.

It has known densities, models that learn an energy from samples, methods that keep the energy high elsewhere, and the
divergence between a model and the density.
"""

from striate.energy.autoencoder import AutoencoderEnergy, DenoisingEnergy
from striate.energy.densities import Density, Parabola, Spiral, ThreeCauchy
from striate.energy.grid import Grid, Window
from striate.energy.information import code_entropy
from striate.energy.k_means import KMeansEnergy
from striate.energy.model import EnergyModel, Machine, divergence, temperature
from striate.energy.network_energy import NetworkEnergy
from striate.energy.pca import PCAEnergy
from striate.energy.points import read_points
from striate.energy.rbm import RBMEnergy
from striate.energy.sampling import hamiltonian, langevin
from striate.energy.sparse import PSDEnergy, SparseCodingEnergy

__all__ = [
    "Density",
    "ThreeCauchy",
    "Spiral",
    "Parabola",
    "read_points",
    "Window",
    "Grid",
    "EnergyModel",
    "Machine",
    "PCAEnergy",
    "KMeansEnergy",
    "AutoencoderEnergy",
    "DenoisingEnergy",
    "SparseCodingEnergy",
    "PSDEnergy",
    "RBMEnergy",
    "NetworkEnergy",
    "langevin",
    "hamiltonian",
    "divergence",
    "temperature",
    "code_entropy",
]
