"""Ratios, each measured in one run on one machine, as medians; `make bench` runs them all."""

import os

# One thread each, as the peers are told; NumPy's library of linear algebra reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
