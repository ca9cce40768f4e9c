"""
Optimal codes and what they cost
================================

A dictionary is learned from patches of digits; then more sparsity means fewer active units and a larger error. Every
code comes with a proof of how near to the optimum it is.
"""

import numpy as np
from matplotlib.figure import Figure

from striate import SparseCoding, certify, infer, load_mnist_digits, sample_patches

images, _ = load_mnist_digits()
patches = sample_patches(images[:1000], 5000, 8, random_state=0, min_std=0.1)
patches -= patches.mean(axis=1, keepdims=True)

learner = SparseCoding(n_components=64, active_fraction=0.1, max_batches=200, random_state=0).fit(patches)
learner

# %%
# The same patches at five sparsities: active units, error, and the largest duality gap, relative to the objective.
sparsities = learner.sparsity_ * 2.0 ** np.arange(-2, 3)
active, errors = [], []
for sparsity in sparsities:
    codes = infer(patches[:1000], learner.components_, sparsity)
    proof = certify(patches[:1000], codes, learner.components_, sparsity)
    active.append((codes != 0).sum(axis=1).mean())
    errors.append(np.square(patches[:1000] - codes @ learner.components_).sum() / np.square(patches[:1000]).sum())
    print(f"sparsity {sparsity:.3f}: {active[-1]:4.1f} active, gap {(proof.gap / proof.objective).max():.0e}")

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.subplots()
axes.plot(active, errors, "o-", color="0.2")
axes.set_xlabel("active units, of 64")
axes.set_ylabel("share of the energy that is lost")
figure
