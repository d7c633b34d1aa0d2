"""Formulas: terms, their simplification and printing, and the backward pass over them."""
