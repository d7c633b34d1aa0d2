"""Derivatives beyond one backward pass: Jacobians, Hessians, gradient graphs, and checks of gradients."""
