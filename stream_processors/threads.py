"""How many threads a worker's linear algebra takes: workers scale by process, one a core."""

import os
from collections.abc import MutableMapping

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread_each(environ: MutableMapping[str, str] = os.environ) -> None:
    """One thread for each library that reads `NAMES`, unless any of them is given: then the user
    has decided. They are read once: call it before numpy is imported.

    A second thread of OpenBLAS spins between small products: on two busy cores a drift verdict took
    24 to 447 ms of processor time with it and 14 to 20 without, and was done later.
    """
    if not any(name in environ for name in NAMES):
        environ.update(dict.fromkeys(NAMES, "1"))
