"""Ratios, each measured in one run on one machine, as medians; `make bench` runs them all."""
