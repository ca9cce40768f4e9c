"""
Four machines and their energies
================================

Points on a star of three lines, and the energy that each machine learns: black is low. A principal component is low
along one line, k-means near three points. An autoencoder with more units than there are dimensions copies all points of
the middle, on the star or not. Sparse coding has as many units, but a penalty on its code: it is lower along the rays.
"""

from matplotlib.figure import Figure

from striate.energy import AutoencoderEnergy, Grid, KMeansEnergy, PCAEnergy, SparseCodingEnergy, ThreeCauchy
from striate.figures import draw_points, draw_surface, surface_pixels

star = ThreeCauchy()
points = star.sample(5000, random_state=0)
grid = Grid(star.window, 80)
machines = {
    "principal component": PCAEnergy(1),
    "k-means, 3": KMeansEnergy(3, random_state=0),
    "autoencoder, 3 units": AutoencoderEnergy(3, random_state=0),
    "sparse coding, 3 units": SparseCodingEnergy(3, sparsity=0.5, random_state=0),
}

figure = Figure(figsize=(9, 2.1), layout="constrained")
data, *surfaces = figure.subplots(1, 5)
draw_points(data, points[:1000], star.window.extent)
data.set_title("points", fontsize=9)
for axes, (name, machine) in zip(surfaces, machines.items(), strict=True):
    energy = grid.image(machine.fit(points).free_energy(grid.points))
    draw_surface(axes, surface_pixels(energy), star.window.extent)
    axes.set_title(name, fontsize=9)
figure
