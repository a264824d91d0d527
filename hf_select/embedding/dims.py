"""How long a checkpoint's vectors are, from its config.json: no weights, and no torch where the file says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_select.errors import HFSelectError, UsageError, require
from hf_select.scoring.model import LOAD_ERRORS, first_line


def declared_dim(model: str, commit: str | None, *, vision: bool) -> int:
    """Return the hidden size of a checkpoint: of its vision tower or, where it has such parts, of its text model.

    Args:
        model: Hub id or local folder.
        commit: Commit of a Hub id.
        vision: Whether the part that sees is meant.

    Raises:
        UsageError: If there is no config.json, or it names no hidden size.
        HFSelectError: If the Hub can't be reached and the cache doesn't hold the file.
    """
    config = json.loads(_config_file(model, commit).read_text(encoding="utf-8"))
    section = config.get("vision_config" if vision else "text_config") or config
    size = section.get("hidden_size") or next(iter(reversed(section.get("hidden_sizes") or [])), None)
    return size if isinstance(size, int) else _default_dim(model, commit, vision)


def _default_dim(model: str, commit: str | None, vision: bool) -> int:
    """The size that a file leaves out because it is the default of its class."""
    transformers = require("transformers", "models")
    try:
        config: Any = transformers.AutoConfig.from_pretrained(model, revision=commit)
        if not vision:
            config = config.get_text_config()
        elif "vision_config" in config.sub_configs:
            config = config.vision_config
        return int(config.hidden_size)
    except (*LOAD_ERRORS, AttributeError, TypeError) as error:
        raise UsageError(
            f"the config.json of {model} names no hidden size, so the length of its vectors isn't known before loading"
            f" it: load it yourself and use ImageEmbedding.of ({first_line(error)})."
        ) from error


def _config_file(model: str, commit: str | None) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"the folder {model} has no config.json: give the folder of a whole checkpoint.")
        return folder / "config.json"
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model, "config.json", revision=commit))
    except LocalEntryNotFoundError as error:
        raise HFSelectError(
            f"the Hub can't be reached and the cache doesn't hold the config.json of {model} at {commit}: connect once,"
            " or give a local folder."
        ) from error
    except EntryNotFoundError as error:
        raise UsageError(f"the model {model} has no config.json: give a checkpoint of transformers.") from error
    except HfHubHTTPError as error:
        raise HFSelectError(
            f"the Hub refused the config.json of {model} (HTTP {error.response.status_code})."
        ) from error
