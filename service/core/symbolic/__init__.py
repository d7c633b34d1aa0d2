"""The rules read over symbols: terms, their simplification and printing, and the backward pass over them."""
