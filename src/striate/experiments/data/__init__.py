"""Data that several experiments share, as their protocols say how to read them."""
