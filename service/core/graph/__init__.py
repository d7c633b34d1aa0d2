"""Computational graphs: nodes, validation, order, digest, shapes, and the walks along their edges."""
