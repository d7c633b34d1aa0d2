"""Pictures of graphs and their figures, for people."""
