"""The forward pass and the backward pass: over arrays, in batches, and compiled."""
