"""Ratios to peers, each measured in one run on one machine, as medians; `make bench` runs them all."""

import os

# One thread each, as for the peers; NumPy's BLAS reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
