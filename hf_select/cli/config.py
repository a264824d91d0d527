"""`--config file.yaml`: values for a command's options, read from a file; flags win over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_select.errors import UnknownName, UsageError


def read_config(path: Path, allowed: list[str]) -> dict[str, Any]:
    """Read a YAML mapping of option names to values.

    Args:
        path: The file. Relative paths *inside* it mean the same as on the command line: relative to the working folder.
        allowed: Field names; in the file `some-name` and `some_name` are the same.

    Raises:
        UsageError: The file is missing, isn't YAML, isn't a mapping, or has a key that isn't an option (the nearest one
            is suggested) or one key twice.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not YAML: {' '.join(str(error).split())}.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(f"--config {path} holds a {type(document).__name__}; it must map option names to values.")
    values: dict[str, Any] = {}
    for key, value in document.items():
        name = str(key).replace("-", "_")
        if name not in allowed:
            raise UnknownName(f"option in {path}", str(key), allowed)
        if name in values:
            raise UsageError(f"--config {path} sets {name!r} twice.")
        values[name] = value
    return values
