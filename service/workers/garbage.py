"""When the cycle collector looks for garbage, in every process that answers requests."""

import gc


def collect_rarely() -> None:
    """Collect from now on, seldom, and never what is alive now.

    Reading a large body would have the collector scan every live object again and again, for three quarters of the
    time that it takes; and requests leave few cycles behind.
    """
    gc.freeze()
    gc.set_threshold(10_000, 5, 1_000)
    gc.enable()
