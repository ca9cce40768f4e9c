"""Energy surfaces, and models that are trained as energies: RBMs and autoencoders."""
