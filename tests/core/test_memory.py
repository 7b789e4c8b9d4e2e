"""Pages are kept between steps where the C library can, and the peak is this process's own."""

import subprocess
import sys

import pytest

from triune.memory import keep_pages, peak_resident_bytes, trim_pages

MIB = 2**20

FAULTS = """
import resource
from triune.memory import give_back_pages, keep_pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"x") * (64 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = min(faults() for _ in range(3))
assert keep_pages() and keep_pages()
first, kept = faults(), max(faults() for _ in range(3))
assert give_back_pages()
again = min(faults() for _ in range(3))
print(fresh, kept, again)
"""

TRIMMED = """
import os
from triune.memory import keep_pages, trim_pages

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

keep_pages()
large = bytearray(b"x") * (64 * 2**20)
del large
kept = resident()
assert trim_pages()
print(kept, resident())
"""

PEAK = """
from triune.memory import peak_resident_bytes
before = peak_resident_bytes()
large = bytearray(b"x") * (100 * 2**20)
del large
print(before, peak_resident_bytes())
"""


ANEW = """
from triune.memory import forget_peak, peak_resident_bytes
large = bytearray(b"x") * (100 * 2**20)
high = peak_resident_bytes()
del large
assert forget_peak()
print(high, peak_resident_bytes())
"""


def told(program, **options):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, **options)
    return [int(word) for word in done.stdout.split()]


def has_glibc():
    import ctypes

    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.skipif(not has_glibc(), reason="the C library here is not glibc")
def test_kept_pages_are_not_faulted_in_again_until_they_are_given_back():
    fresh, kept, again = told(FAULTS)
    assert kept < fresh / 8
    assert again > kept


@pytest.mark.skipif(not has_glibc(), reason="the C library here is not glibc")
def test_kept_pages_can_be_given_back_in_between():
    kept, trimmed = told(TRIMMED)
    assert kept - trimmed > 60 * MIB


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_pages() is False
    assert trim_pages() is False


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("triune.memory.ctypes.CDLL", lambda name: object())
    assert keep_pages() is False


def test_the_peak_stays_when_the_memory_is_gone():
    before, after = told(PEAK)
    assert after - before > 90 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_is_counted_anew_once_it_is_forgotten():
    high, anew = told(ANEW)
    assert high - anew > 90 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_of_a_process_is_not_its_parents():
    large = bytearray(b"x") * (300 * MIB)
    before, _ = told(PEAK)
    assert len(large) > before
    assert (peak_resident_bytes() or 0) >= len(large)
