"""Starts master-side processes (workers, reference stack) and owns their life and death."""
