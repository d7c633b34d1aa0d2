"""The client's results: frozen dataclasses read from the service's documents, figures as NumPy arrays."""
