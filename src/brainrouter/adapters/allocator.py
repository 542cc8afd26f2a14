"""How the C library keeps freed memory. Bodies of half a megabyte come and go with every turn of a long session."""

from __future__ import annotations

import ctypes

# glibc's malloc.h: what is larger than this has pages of its own, which the kernel clears anew each time.
_M_MMAP_THRESHOLD = -3
_OWN_PAGES_FROM = 4 << 20
# How much may lie free at the end of the heap before it is given back.
_M_TRIM_THRESHOLD = -1
_KEPT_FREE = 12 << 20


def keep_freed_memory() -> None:
    """Let bodies up to 4 MB reuse memory, at the price of at most 12 MB that stays. Nothing happens where it cannot.

    Measured: to join a body of 600 KB takes 27 us in memory that was used before and 570 us in fresh pages.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_FROM)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
