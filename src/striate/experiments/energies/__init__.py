"""Energy surfaces, and the machines that are trained as energies: RBMs and autoencoders."""
