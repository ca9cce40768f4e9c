"""Hierarchies that recognize objects: the tables of the papers, and the systems they competed with."""
