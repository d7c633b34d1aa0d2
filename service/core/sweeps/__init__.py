"""Sweeps: one graph at many points, which are made where they are computed, chunk by chunk."""
