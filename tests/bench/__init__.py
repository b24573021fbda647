"""Benchmarks: every figure a ratio inside one run. See README.md in this folder."""
