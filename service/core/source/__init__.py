"""A graph as source code: NumPy, PyTorch, JAX and, of scalars, C."""
