import os
import signal
import subprocess
import sys

PARENT = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from hf_select.processes import end_with_parent

def ready(_):
    return os.getpid()

workers = ProcessPoolExecutor(2, initializer=end_with_parent)
print(*{*workers.map(ready, range(8))}, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_when_their_parent_is_killed():
    # Workers hold the pipe of stdout: without their end, this call would wait for them until the time limit.
    done = subprocess.run([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split()


def test_a_process_without_a_parent_goes_on():
    from hf_select.processes import end_with_parent

    end_with_parent()
    assert os.getpid()
