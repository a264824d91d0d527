"""Families whose processors need torchvision, in a process of their own with the test-only shim."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.skipif(
    "HF_SELECT_TORCHVISION_DIR" not in os.environ,
    reason="HF_SELECT_TORCHVISION_DIR names no folder with torchvision (see tests/torchvision_shim.py)",
)
def test_families_with_a_video_processor():
    files = ["scoring/test_families.py", "embedding/test_hidden.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "torchvision_shim", *files]
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=TESTS, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
