"""`hf-select scores push|pull`: share a scored pool's columns, or take somebody's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.errors import UsageError
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """Flags of `hf-select scores push`."""

    scores: Path = option(help="folder of `hf-select score` or `run`, or a Parquet file of scores", positional=True)
    to: str = option(help="dataset repository, namespace/name; made where it is missing")
    name: str = option(help="what these scores are called beside others in the repository")
    pool: str = option(help="Hub id of the pool the scores are of, org/name or org/name@revision")
    private: bool = option(True, help="visibility of a repository that is made now")
    overwrite: bool = option(False, help="replace scores of that name, or data of another tool")


@dataclass(frozen=True, kw_only=True)
class PullOptions:
    """Flags of `hf-select scores pull`."""

    repository: str = option(help="dataset repository with scores, namespace/name", positional=True)
    out: Path = option(help="folder for the scores")
    revision: str | None = option(None, help="revision of the repository")


def run(options: PushOptions | PullOptions, out: Output) -> int:
    """Push or pull; return the exit code."""
    return _push(options, out) if isinstance(options, PushOptions) else _pull(options, out)


def _push(options: PushOptions, out: Output) -> int:
    import pyarrow.parquet as pq

    from hf_select.hub.scores import Scores, push_scores

    file = options.scores / "score.parquet" if options.scores.is_dir() else options.scores
    if not file.is_file():
        raise UsageError(f"{file} does not exist: give a folder that `hf-select score` or `hf-select run` wrote.")
    pool, _, revision = options.pool.partition("@")
    kept = options.scores / "about.json"
    about = json.loads(kept.read_text("utf-8"))["about"] if kept.is_file() else {}
    scores = Scores(
        name=options.name,
        table=pq.read_table(file),
        pool=pool,
        pool_revision=revision or None,
        scorers=tuple(about.get("scorers", ())),
    )
    if out.dry_run:
        data = scores.about | {"to": options.to}
        out.result(human=f"{len(scores.table):,} rows would go to {options.to}; nothing was sent", data=data)
        return 0
    done = push_scores(scores, options.to, private=options.private, overwrite=options.overwrite, note=out.note)
    what = "pushed" if done.changed else "everything was there already"
    data = {"url": done.url, "commit": done.commit, "bytes": done.size, "changed": done.changed}
    out.result(human=f"{what}: {done.url} ({done.size:,} bytes)", data=data, quiet=done.commit)
    return 0


def _pull(options: PullOptions, out: Output) -> int:
    from hf_select.hub.scores import pull_scores

    if out.dry_run:
        out.result(human=f"the scores of {options.repository} would be copied to {options.out}", data={})
        return 0
    entries = pull_scores(options.repository, options.out, revision=options.revision)
    rows = [[e["name"], e["pool"], e["pool_revision"], e["rows"], ", ".join(e["columns"])] for e in entries]
    human = table(["name", "pool", "revision", "rows", "columns"], rows)
    out.result(human=f"{human}\n\n{options.out}", data=entries, quiet=str(options.out))
    return 0


COMMAND = Command(
    "scores",
    "Share a scored pool's columns on the Hub, or take somebody's.",
    None,
    run,
    writes=True,
    variant_metavar="DIRECTION",
    variants={
        "push": ("put scores into a dataset repository", PushOptions),
        "pull": ("copy the scores of a repository to a folder", PullOptions),
    },
    examples=(
        "hf-select scores push runs/a --to me/pool-scores --name seed-loss --pool org/pool@a1b2c3d",
        "hf-select scores pull me/pool-scores --out scores",
        "hf-select select scores/seed-loss/scores.parquet --budget 5% --out small",
    ),
)
