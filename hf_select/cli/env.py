"""`hf-select env`: what to paste into a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass

from hf_select.cli.command import Command
from hf_select.cli.output import Output

CORE = ("hf_select", "datasets", "huggingface_hub", "numpy", "pyarrow", "pillow", "faiss-cpu")
EXTRA = ("torch", "torchvision", "transformers", "accelerate", "peft", "evaluate", "lmms_eval", "matplotlib")


@dataclass(frozen=True)
class Options:
    """None."""


def run(options: Options, out: Output) -> int:
    """Print versions of what is installed and a line about the machine; no path, no user, no token."""
    facts = {"python": platform.python_version(), **{name: _version(name) for name in CORE + EXTRA}}
    facts["platform"] = platform.platform()
    facts["cpus"] = str(os.cpu_count())
    facts["gpu"] = _gpu()
    out.result(
        human="\n".join(f"{name:<16} {value or 'not installed'}" for name, value in facts.items()),
        data=facts,
        quiet=facts["hf_select"] or "",
    )
    return 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str:
    """Ask the driver's own tool: importing torch for this would take seconds."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found"
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none found"
    return "; ".join(answer.stdout.splitlines()) or "none found"


COMMAND = Command("env", "Print versions and machine, for a bug report.", Options, run, examples=("hf-select env",))
