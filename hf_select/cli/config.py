"""`--config file.yaml`: values for a command's options, read from a file; flags win over it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from hf_select.errors import UnknownName, UsageError


def read_config(path: Path, allowed: list[str]) -> dict[str, Any]:
    """Read a YAML mapping of option names to values: texts, bools, None and lists of these.

    Numbers stay texts until the option's own type reads them: YAML's guesses would turn the revision `0123456` into
    42798 and leave `1e-5` a text.

    Args:
        path: The file. Relative paths *inside* it mean the same as on the command line: relative to the working folder.
        allowed: Field names; in the file `some-name` and `some_name` are the same.

    Raises:
        UsageError: The file is missing, isn't YAML, isn't a mapping, or has a key that isn't an option (the nearest one
            is suggested) or one key twice.
    """
    import yaml

    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
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


def _loader() -> type:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict] = {}

    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:[Tt]rue|[Ff]alse)$"), list("TtFf"))
    return Loader
