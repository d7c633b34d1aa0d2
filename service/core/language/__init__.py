"""The expression language: read text as nodes, and write a graph as text."""
