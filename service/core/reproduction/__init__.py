"""An origin alone: the smallest graph in which it shows, and a script that shows it."""
