"""Which nodes of two graphs are one, though they have other names."""
