"""One folder becomes one commit: retried within bounds, never made twice, compared with what was sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.errors import HFSelectError
from hf_select.files import write_atomically
from hf_select.hub.preflight import Found, Target, check_replaceable, hub_api, look, refused_card
from hf_select.hub.trouble import retrying

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

_KEPT = "What was sent is kept."
_CARD = "README.md"


@dataclass(frozen=True)
class Published:
    """What is on the Hub now.

    Attributes:
        repo_id: The repository.
        url: Where to see it, at this commit.
        commit: The commit's sha, 40 hex digits.
        files: Its files of ours.
        size: Their bytes.
        changed: Whether this call made the commit; False where all of it was there.
        pull_request: URL of the pull request, where one was asked for.
    """

    repo_id: str
    url: str
    commit: str
    files: tuple[str, ...]
    size: int
    changed: bool
    pull_request: str | None = None


def commit_folder(
    folder: Path,
    target: Target,
    found: Found,
    *,
    card: Callable[[str | None], str],
    message: str,
    owned: Callable[[str], bool],
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Make `folder` the content of a repository by exactly one commit, whatever the number of files.

    Large files are sent before, which nobody sees; those that are there already are not sent again. So a call that
    failed half-way is finished by the same call. A commit whose reply was lost is found and not made again. Afterwards
    the digest of every file is compared with what is there at the commit.

    Args:
        folder: The files; README.md is written here.
        target: Where they go.
        found: What `preflight` found.
        card: Makes the card from the text of the one that is there just before the commit, so that nothing is lost
            that somebody else wrote meanwhile.
        message: The commit's title.
        owned: Tells of a path in the repository whether a file there that isn't in `folder` is ours to delete.
        note: Called with one sentence of progress at a time.
        sleep: Waits for so many seconds.

    Raises:
        HFSelectError: The Hub refuses, doesn't answer for long, or holds something else than was sent.
    """
    api = hub_api()
    if found.head is None:
        note(f"making the {'private' if target.private else 'public'} repository {target.repo_id}")
        retrying(lambda: _create(api, target), target.repo_id, note=note, sleep=sleep)
    if target.revision is not None:
        retrying(lambda: _branch(api, target), target.repo_id, note=note, sleep=sleep)
    write_atomically(folder / _CARD, card(found.card))
    names = tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
    note(f"sending {len(names):,} files to {target.repo_id}")
    push = _Push(api, folder, names, target, card, message, owned)
    done = retrying(push.send, target.repo_id, kept=_KEPT, note=note, sleep=sleep)
    at = done.pr_revision or done.oid
    wrong = retrying(lambda: push.differing(at), target.repo_id, kept=_KEPT, note=note, sleep=sleep)
    if wrong is not None:
        raise HFSelectError(f"{target.repo_id} holds another {wrong} than was sent: run the same command again.")
    size = sum((folder / name).stat().st_size for name in names)
    return Published(target.repo_id, done.commit_url, done.oid, names, size, done.oid != push.first, done.pr_url)


@dataclass
class _Push:
    """The tries to make one commit.

    Attributes:
        first: The head before the first try.
        pulls: The pull requests before the first try.
    """

    api: HfApi
    folder: Path
    names: tuple[str, ...]
    target: Target
    card: Callable[[str | None], str]
    message: str
    owned: Callable[[str], bool]
    first: str | None = None
    pulls: set[str] | None = None

    def send(self) -> CommitInfo:
        """Send and commit; safe to repeat."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        target, now = self.target, look(self.api, self.target)
        self.first = self.first or now.head
        check_replaceable(now, target)
        write_atomically(self.folder / _CARD, self.card(now.card))
        if target.create_pr and (opened := self._opened()) is not None:
            return opened
        stale = [name for name in now.files if name not in self.names and self.owned(name)]
        adds = [CommitOperationAdd(name, str(self.folder / name)) for name in self.names]
        try:
            return self.api.create_commit(
                target.repo_id,
                [*adds, *map(CommitOperationDelete, stale)],
                commit_message=self.message,
                repo_type=target.repo_type,
                revision=target.revision,
                create_pr=target.create_pr or None,
                parent_commit=now.head,
            )
        except ValueError as error:
            if not str(error).startswith("Invalid metadata"):
                raise
            raise refused_card(error) from error

    def differing(self, revision: str) -> str | None:
        """The first of our files that the repository has not, or not like this, at a revision."""
        target = self.target
        info = self.api.repo_info(target.repo_id, repo_type=target.repo_type, revision=revision, files_metadata=True)
        there = {file.rfilename: file for file in info.siblings or []}
        for name in self.names:
            file, path = there.get(name), self.folder / name
            if file is None or _digest(path, git=file.lfs is None) != (file.lfs.sha256 if file.lfs else file.blob_id):
                return name
        return None

    def _opened(self) -> CommitInfo | None:
        """The pull request that an earlier try opened although its reply was lost."""
        from huggingface_hub import CommitInfo

        target = self.target
        refs = self.api.list_repo_refs(target.repo_id, repo_type=target.repo_type, include_pull_requests=True)
        pulls = {pull.ref: pull.target_commit for pull in refs.pull_requests or []}
        if self.pulls is None:
            self.pulls = set(pulls)
        for ref in sorted(pulls.keys() - self.pulls):
            if self.differing(ref) is None:
                prefix = "" if target.repo_type == "model" else f"{target.repo_type}s/"
                place = f"{self.api.endpoint}/{prefix}{target.repo_id}"
                url, number = f"{place}/commit/{pulls[ref]}", ref.rsplit("/", 1)[1]
                return CommitInfo(url, self.message, "", pulls[ref], pr_url=f"{place}/discussions/{number}")
        return None


def _create(api: HfApi, target: Target) -> None:
    api.create_repo(target.repo_id, repo_type=target.repo_type, private=target.private, exist_ok=True)


def _branch(api: HfApi, target: Target) -> None:
    api.create_branch(target.repo_id, repo_type=target.repo_type, branch=target.revision, exist_ok=True)


def _digest(path: Path, *, git: bool) -> str:
    """A file's digest as the Hub gives it: sha1 of a git blob for a small file, sha256 for one in large storage."""
    made = hashlib.sha1(b"blob %d\0" % path.stat().st_size) if git else hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            made.update(piece)
    return made.hexdigest()
