"""Gradbook: a REST service that keeps the book of computational graphs and their gradients."""
