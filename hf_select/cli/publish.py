"""`hf-select publish`: a run's subset on the Hub, in one commit, with a card that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.hub.content import Content


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """Flags of `hf-select publish`."""

    run: Path = option(help="folder of an `hf-select run`", positional=True)
    to: str = option(help="dataset repository, namespace/name; made where it is missing")
    mode: str = option("full", choices=("full", "keys"), help="rows with pictures, or keys, scores and recipe alone")
    private: bool = option(True, help="visibility of a repository that is made now")
    revision: str | None = option(None, help="branch to commit to")
    create_pr: bool = option(False, help="open a pull request instead of a commit on the branch")
    overwrite: bool = option(False, help="replace data that another tool wrote")
    scores: bool = option(True, help="send what the choice was made from, so that anybody can choose again")
    license: list[str] = option([], help='licences of the sources: "source=licence", or one licence for the pool')
    gain: Path | None = option(None, help="JSON file of a comparison that `hf-select eval` wrote, for the card")
    keep: Path | None = option(None, help="with --dry-run: leave the folder that would be sent here")


def run(options: PublishOptions, out: Output) -> int:
    """Publish; return the exit code."""
    from hf_select.hub.content import Content
    from hf_select.hub.publish import publish

    licences = _licences(options.license)
    content = Content.of_run(options.run, licences=licences, gain=options.gain, scores=options.scores)
    if out.dry_run:
        return _dry_run(content, options, out)
    done = publish(
        content,
        options.to,
        mode=options.mode,
        private=options.private,
        revision=options.revision,
        create_pr=options.create_pr,
        overwrite=options.overwrite,
        note=out.note,
    )
    what = "published" if done.changed else "everything was there already"
    lines = [f"{what}: {done.url}", f"commit {done.commit}, {len(done.files)} files, {done.size:,} bytes"]
    if done.pull_request is not None:
        lines.append(f"pull request: {done.pull_request}")
    data = {"url": done.url, "commit": done.commit, "files": list(done.files), "bytes": done.size}
    data |= {"changed": done.changed, "pull_request": done.pull_request}
    out.result(human="\n".join(lines), data=data, quiet=done.commit)
    return 0


def _dry_run(content: Content, options: PublishOptions, out: Output) -> int:
    from hf_select.hub.folder import temporary_folder
    from hf_select.hub.publish import dry_run

    if options.keep is not None and options.keep.exists():
        raise UsageError(f"{options.keep} exists: give a folder that doesn't, for --keep.")
    with temporary_folder() as folder:
        sizes = dry_run(
            content,
            options.to,
            options.keep or folder / "folder",
            mode=options.mode,
            revision=options.revision,
            create_pr=options.create_pr,
            overwrite=options.overwrite,
        )
    lines = [f"{size:>14,}  {name}" for name, size in sizes.items()]
    total = f"{sum(sizes.values()):,} bytes in {len(sizes)} files would go to {options.to}; nothing was sent"
    data = {"files": sizes, "bytes": sum(sizes.values()), "to": options.to}
    out.result(human="\n".join([*lines, total]), data=data, quiet=str(sum(sizes.values())))
    return 0


def _licences(given: list[str]) -> dict[str, str | None]:
    found = {}
    for entry in given:
        source, _, licence = entry.rpartition("=")
        found[source] = licence if licence not in ("", "unknown") else None
    return found


COMMAND = Command(
    "publish",
    "Publish a run's subset to the Hub, in one commit, with a card that proves it.",
    PublishOptions,
    run,
    writes=True,
    examples=(
        "hf-select publish runs/a --to me/vit-15",
        "hf-select publish runs/a --to me/vit-15-keys --mode keys --license cc-by-4.0",
        "hf-select publish runs/a --to me/vit-15 --dry-run --keep folder",
    ),
)
