"""Given a dictionary, find the code: the solvers."""
