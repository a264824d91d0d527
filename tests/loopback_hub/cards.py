"""The check of a card's metadata: a sample of the Hub's rules."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LICENSES = (
    "afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 "
    "bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 "
    "cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 "
    "cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 "
    "gemma gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 mit "
    "mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl "
    "zlib"
)
LICENSES = set(_LICENSES.split())
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B"}
LISTS = ("tags", "language", "size_categories", "task_categories", "source_datasets", "configs", "model-index")


def metadata(content: str) -> dict[str, Any]:
    """Return the metadata at a card's top.

    Raises:
        ValueError: It is no YAML mapping.
    """
    found = re.match(r"\s*---\r?\n(.*?)\r?\n?---\r?\n", content + "\n", re.DOTALL)
    if found is None:
        return {}
    try:
        data = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"Invalid YAML in the metadata: {error}") from error
    if not isinstance(data, dict):
        raise ValueError("The metadata must be a mapping")
    return data


def problems(content: str, kind: str) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings of a card of `kind` "dataset" or "model"."""
    try:
        data = metadata(content)
    except ValueError as error:
        return [str(error)], []
    if not data:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = [f'"{name}" must be an array' for name in LISTS if not isinstance(data.get(name, []), list | str)]
    errors += [f'"{name}" must be an array' for name in ("tags", "configs") if isinstance(data.get(name), str)]
    for name in ("tags", "task_categories", "source_datasets"):
        if any(not isinstance(value, str) for value in _listed(data, name)):
            errors.append(f'"{name}" must hold strings only')
    errors += [
        f'"license" must be one of {sorted(LICENSES)}' for one in _listed(data, "license") if one not in LICENSES
    ]
    errors += [
        f'"size_categories" must be one of {sorted(SIZES)}' for v in _listed(data, "size_categories") if v not in SIZES
    ]
    if not isinstance(data.get("pretty_name", ""), str):
        errors.append('"pretty_name" must be a string')
    for config in _listed(data, "configs"):
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str):
            errors.append('"configs[].config_name" must be a string')
    for result in _listed(data, "model-index") if kind == "model" else ():
        if not isinstance(result, dict) or "name" not in result or not isinstance(result.get("results"), list):
            errors.append('"model-index[]" must have a name and results')
    return errors, []


def _listed(data: dict[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]
