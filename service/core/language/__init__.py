"""The expression language: text to nodes and back."""
