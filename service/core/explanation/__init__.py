"""Explain the figures of a run: steps and paths."""
