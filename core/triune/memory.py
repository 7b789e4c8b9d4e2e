"""The memory of the process: how the C library's allocator treats it, and the most that was resident."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# From glibc's malloc.h; these numbers are part of its binary interface.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 * 1024, 65536


def keep_pages() -> bool:
    """Tell the C library to keep freed memory instead of giving it back to the system; return whether it obeys.

    By default glibc maps every large tensor anew and unmaps it when it is freed, so each step of a training
    on a CPU has the system fault in, and clear, hundreds of megabytes page by page. Kept, the pages are ready
    for the next step. No number changes.

    It holds for the whole process, and memory that was needed once stays with it until `give_back_pages`.
    Calling it again changes nothing. Where there is no glibc, it does nothing and returns False.
    """
    libc = _glibc()
    if libc is None:
        return False
    # -1 is the largest threshold: never trim. Without maps, every size comes from the heap, which is kept.
    return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, -1))


def give_back_pages() -> bool:
    """Undo `keep_pages`: give free memory back to the system, now and from now on; return whether it obeys."""
    libc = _glibc()
    if libc is None:
        return False
    libc.mallopt(M_MMAP_MAX, DEFAULT_MMAP_MAX)
    libc.mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
    libc.malloc_trim(0)
    return True


def trim_pages() -> bool:
    """Give what is free now back to the system, and go on as before; return whether the C library obeys."""
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None


def peak_resident_bytes() -> int | None:
    """Return the most bytes of this process that were ever in memory at once, or None where nobody knows.

    Linux says so in /proc. Its `getrusage` is no use to a process that was forked, because it counts what the
    parent held; on other systems it is asked.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Let `peak_resident_bytes` count from now on; return whether the system can: Linux can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def available_bytes() -> int | None:
    """Return the bytes of memory that a process may still take, or None where nobody knows.

    A container may allow less than the machine has.
    """
    free = [found for found in (_free_of_the_machine(), _free_of_the_container()) if found is not None]
    return min(free, default=None)


def _free_of_the_machine() -> int | None:
    table = Path("/proc/meminfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows; a system without the figure
        return None


def _free_of_the_container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return max(int(most) - int(used), 0) if most.isdigit() else None
