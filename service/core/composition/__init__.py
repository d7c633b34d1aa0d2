"""Stored graphs and composed operations as nodes of other graphs: they are expanded when a graph is made."""
