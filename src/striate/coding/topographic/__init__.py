"""Codes of units on a sheet: pools of neighbors, the solver and its certificate."""

from striate.coding.topographic.certificate import certify_topographic, topographic_energy
from striate.coding.topographic.inference import infer_topographic
from striate.coding.topographic.sheet import Sheet

__all__ = ["Sheet", "certify_topographic", "infer_topographic", "topographic_energy"]
