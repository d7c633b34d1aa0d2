"""What another program computed, as one file: `Recording`, and what makes one of a PyTorch or a JAX program.

The room needs NumPy and the standard library; each recorder needs its own framework too, and neither needs the service.
"""
