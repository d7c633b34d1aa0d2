"""Gradbook: a REST service that stores, explains and compares computational graphs and their gradients."""
