"""Which weights a model name stands for right now: a Hub commit, or a digest of a local checkpoint's contents."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_select.errors import UsageError
from hf_select.files import write_atomically
from hf_select.pool.hub import commit_of

logger = logging.getLogger(__name__)

_SUFFIXES = {".safetensors", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"}
_LOGS = {"all_results.json", "eval_results.json", "fit.json", "train_results.json", "trainer_state.json"}
_FRESH_NS = 2_000_000_000


def weights_identity(model: str, revision: str | None = None) -> dict[str, Any]:
    """Return what identifies the weights, configuration, tokenizer and processor behind a model name.

    Args:
        model: A Hub id (`"org/name"`) or a local folder; a folder of a LoRA adapter brings its base along.
        revision: Branch, tag or commit of a Hub model.

    Returns:
        `{"hub": id, "commit": sha}` or `{"digest": sha256 of the contents}`, with `"base"` for a local adapter. Equal
        results mean equal weights; load a Hub model at exactly this commit.

    Raises:
        UsageError: If the folder holds no safetensors weights, or there is no such folder, model or revision.
        HFSelectError: If the Hub can't be reached and the cache doesn't know the model.

    Cost: one request for a Hub model (none for a full commit sha or a revision in the cache while offline); reading
    the files once for a folder (0.7 GB/s), remembered by size, times and inode under `HF_HOME/hf_select/digests`.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UsageError(f"revision {revision!r} was given for the folder {model}: only Hub models have revisions.")
        return _folder_identity(folder)
    if model.startswith((".", "~", os.sep)) or model.count("/") > 1 or folder.exists():
        raise UsageError(f"there is no model folder at {model}: give a folder or a Hub id such as org/name.")
    return {"hub": model, "commit": commit_of(model, revision, "model")}


def commit_to_load(identity: Mapping[str, Any]) -> str | None:
    """Return the commit at which to load what an identity stands for; None where all of it is in folders.

    It is a Hub model's own, or for an adapter in a folder that of its base on the Hub.
    """
    return identity.get("commit") or identity.get("base", {}).get("commit")


def _folder_identity(folder: Path) -> dict[str, Any]:
    files = sorted(
        path
        for path in (*folder.iterdir(), *folder.glob("additional_chat_templates/*"))
        if path.suffix in _SUFFIXES and path.name not in _LOGS and path.is_file()
    )
    if not any(path.suffix == ".safetensors" for path in files):
        raise UsageError(f"the folder {folder} holds no *.safetensors weights: save the model there with safetensors.")
    digests = _digests(folder, files)
    contents = [[path.relative_to(folder).as_posix(), path.stat().st_size, digests[path]] for path in files]
    identity: dict[str, Any] = {"digest": hashlib.sha256(json.dumps(contents).encode()).hexdigest()}
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text(encoding="utf-8"))
        base = settings.get("base_model_name_or_path")
        if base and Path(base).resolve() != folder.resolve():
            identity["base"] = weights_identity(base, settings.get("revision"))
    return identity


def _digests(folder: Path, files: list[Path]) -> dict[Path, str]:
    """Return each file's sha256, from the memo where size, times and inode are as remembered."""
    memo_file = _memo_file(folder.resolve())
    memo = _read_memo(memo_file)
    known: dict[str, list[Any]] = {}
    digests = {}
    for path in files:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        name = path.relative_to(folder).as_posix()
        remembered = memo.get(name)
        if remembered and remembered[:4] == mark:
            digests[path] = remembered[4]
        else:
            with path.open("rb") as file:
                digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        # A file written a moment ago may be written again within one tick of the file system's clock.
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _FRESH_NS:
            known[name] = [*mark, digests[path]]
    if known != memo:
        _write_memo(memo_file, known)
    return digests


def _memo_file(folder: Path) -> Path:
    from huggingface_hub.constants import HF_HOME

    name = hashlib.blake2b(os.fsencode(folder), digest_size=16).hexdigest()
    return Path(HF_HOME) / "hf_select" / "digests" / f"{name}.json"


def _read_memo(memo_file: Path) -> dict[str, list[Any]]:
    try:
        memo = json.loads(memo_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return memo if isinstance(memo, dict) else {}


def _write_memo(memo_file: Path, memo: dict[str, list[Any]]) -> None:
    try:
        write_atomically(memo_file, json.dumps(memo))
    except OSError as error:
        logger.debug("digests of %s are not remembered: %s", memo_file, error)
