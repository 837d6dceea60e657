"""Measurements a person runs: `python -m bench.send --json`. Never part of the tests; ratios, not promises."""
