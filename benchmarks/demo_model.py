"""Train the model that `hf-select demo` ships, from drawn pictures and text alone.

    OMP_NUM_THREADS=1 python benchmarks/demo_model.py hf_select/demo/model

About nine minutes of one core. Everything is drawn and ordered by a fixed seed; float sums differ between machines, so
a rebuild is compared by its loss on held-out lessons (tests/demo/test_train.py), which is printed here too.
"""

import json
import logging
import sys
from pathlib import Path

from hf_select.demo.train import build

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    print(json.dumps(build(Path(sys.argv[1])), indent=1))
