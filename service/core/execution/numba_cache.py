"""Where Numba looks for compiled code when its folder may not be written to, as in the container.

Named by NUMBA_CACHE_LOCATOR_CLASSES; imported by Numba alone.
"""

from contextlib import suppress

from numba.core.caching import UserProvidedCacheLocator


class ReadOnlyCacheLocator(UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR, writable or not; Numba's own locator passes a folder by that it cannot write to."""

    def ensure_cache_path(self) -> None:
        """Make the folder where that is possible."""
        with suppress(OSError):
            super().ensure_cache_path()  # type: ignore[no-untyped-call]
