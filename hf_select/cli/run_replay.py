"""`hf-select run hf://datasets/me/name`: a published selection, chosen again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output

PREFIX = "hf://datasets/"


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Flags of `hf-select run hf://datasets/me/name`."""

    source: str = option(help=f"{PREFIX}namespace/name[@revision]", positional=True)
    out: Path | None = option(None, help="keep the selection made again in this folder")


def run_replay(options: ReplayOptions, out: Output) -> int:
    """Choose again and compare; 0 for the identical selection, 3 for another."""
    from hf_select.hub.replay import replay

    if not options.source.startswith(PREFIX):
        raise UsageError(f"{options.source} is no published selection: give {PREFIX}namespace/name.")
    repo_id, _, revision = options.source.removeprefix(PREFIX).partition("@")
    result = replay(repo_id, revision=revision or None)
    if options.out is not None and not out.dry_run:
        result.selection.save(options.out)
    rows = len(result.selection)
    told = "the identical selection" if result.identical else "NOT the published selection"
    lines = [f"{repo_id}: {rows:,} rows chosen again, {told}", *(f"note: {line}" for line in result.differences)]
    data = {"rows": rows, "identical": result.identical, "differences": list(result.differences)}
    out.result(human="\n".join(lines), data=data, quiet="identical" if result.identical else "different")
    return 0 if result.identical else 3
