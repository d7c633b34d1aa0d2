"""What acts cost, as ratios to peers and as times, each measured in one run; `make bench` measures all.

Everything runs under the service's own settings: one thread for each matrix product, and one for each peer.
"""

import os

from service.settings import Settings

# NumPy's BLAS and XLA read these when they are loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(Settings.blas_threads))
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
