"""Print the names of the experiments that standard input lists as JSON, for the loops in the Makefile."""

from __future__ import annotations

import json
import sys

for experiment in json.load(sys.stdin):
    print(experiment["name"])
