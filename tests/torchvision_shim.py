"""Test-only: makes PyPI's torchvision importable beside the CPU build of torch, in a process of its own.

Its wheel is built for CUDA, so its compiled operators don't load and `import torchvision` stops at the missing schema
of `torchvision::nms`. Two empty schemas are enough for the transforms that transformers' processors use. As a pytest
plugin (`-p torchvision_shim`) it runs before anything imports torchvision. Folder:

    pip install --no-deps --target FOLDER torchvision==0.28.0 num2words docopt
    HF_SELECT_TORCHVISION_DIR=FOLDER pytest tests/scoring/test_torchvision_families.py
"""

import os
import sys

sys.path.insert(0, os.environ["HF_SELECT_TORCHVISION_DIR"])

import torch  # noqa: E402  the folder must come first

_LIBRARY = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision  # noqa: E402, F401  fails here, with a clear error, rather than inside transformers
