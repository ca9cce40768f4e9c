"""Data sets that several experiments share, read according to their protocols."""
