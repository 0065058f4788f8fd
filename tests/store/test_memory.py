"""Memory that was needed for a moment goes back to the system."""

import subprocess
import sys

PROBE = """
import numpy as np
from aione.store.memory import give_back

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

before = resident_mb()
rows = [np.ones(12_000) for _ in range(2_000)]  # each below what is mapped alone
kept = rows[-1]
full = resident_mb()
del rows
give_back()
print(before, full, resident_mb())
"""


def test_what_is_free_goes_back_though_something_above_it_is_still_held():
    out = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    before, full, after = map(float, out.split())
    assert full - before > 150.0
    assert after - before < 30.0


STAYING_SMALL = """
import threading
import numpy as np
from aione.store.memory import stay_small

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

stay_small()
before = resident_mb()

def work():
    rows = [np.ones(12_000) for _ in range(2_000)]
    held.append(rows[-1])

held = []
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(before, resident_mb())
"""


def test_a_process_that_stays_small_keeps_nothing_of_what_its_threads_let_go():
    out = subprocess.run([sys.executable, "-c", STAYING_SMALL], capture_output=True, text=True, check=True).stdout
    before, after = map(float, out.split())
    assert after - before < 30.0
