"""One folder becomes one commit: looked at before, retried within bounds, read back after."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.trouble import retrying

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

OURS = "hf_select:"
_ALWAYS_THERE = {".gitattributes", "README.md"}


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


@dataclass(frozen=True)
class Target:
    """Where a folder goes.

    Attributes:
        repo_id: "namespace/name".
        repo_type: "dataset" or "model".
        private: Visibility of a repository that is made now.
        revision: Branch; None for the main one. Made where it is missing.
        create_pr: Open a pull request in place of a commit on the branch.
        overwrite: Replace what another tool wrote.
    """

    repo_id: str
    repo_type: str = "dataset"
    private: bool = True
    revision: str | None = None
    create_pr: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.repo_id.count("/") != 1 or not all(self.repo_id.split("/")):
            raise UsageError(f"{self.repo_id!r} is no repository: give namespace/name, such as me/vit-15.")
        if self.create_pr and self.revision is not None:
            raise UsageError("a pull request goes to the main branch: leave the revision out, or the pull request.")


@dataclass(frozen=True)
class Found:
    """What a repository holds now: its head (None where it isn't there), its files, its card's text."""

    head: str | None = None
    files: tuple[str, ...] = ()
    card: str | None = None


def preflight(target: Target, *, sleep: Callable[[float], None] = time.sleep) -> Found:
    """Check token, namespace and repository before any work; nothing is changed.

    Raises:
        HFSelectError: In one sentence, what stands in the way and what to do.
    """
    api = _api()
    me = retrying(api.whoami, target.repo_id, sleep=sleep)
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HFSelectError(f"the token can only read: use one with write access to {target.repo_id}.")
    owner, names = target.repo_id.split("/")[0], [me["name"], *(org["name"] for org in me.get("orgs", []))]
    if owner not in names:
        raise HFSelectError(f"the account {me['name']} may not publish under {owner}; it may under {', '.join(names)}.")
    found = retrying(lambda: _look(api, target), target.repo_id, sleep=sleep)
    others = set(found.files) - _ALWAYS_THERE
    if others and not target.overwrite and OURS not in (found.card or ""):
        some = ", ".join(sorted(others)[:3])
        raise HFSelectError(
            f"{target.repo_id} holds files that hf_select did not write ({some}): choose another name, or add "
            "--overwrite to replace its data."
        )
    return found


def check_card(text: str, target: Target, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Ask the Hub whether it accepts a card.

    Raises:
        HFSelectError: With what the Hub says about it.
    """
    from huggingface_hub import RepoCard

    def ask() -> None:
        try:
            RepoCard(text, ignore_metadata_errors=False).validate(repo_type=target.repo_type)
        except ValueError as error:
            if type(error).__name__ == "JSONDecodeError":
                raise
            raise HFSelectError(f"the Hub refuses the card's metadata: {' '.join(str(error).split())}") from error

    retrying(ask, target.repo_id, sleep=sleep)


def commit_folder(
    folder: Path,
    target: Target,
    found: Found,
    *,
    message: str,
    owned: Callable[[str], bool],
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Make `folder` the content of a repository by exactly one commit, whatever the number of files.

    Large files are sent before, which nobody sees; those that are there already are not sent again. So a call that
    failed half-way is finished by the same call. Afterwards every file is compared with what is there at the commit.

    Args:
        folder: The files.
        target: Where they go.
        found: What `preflight` found.
        message: The commit's title.
        owned: Tells of a path in the repository whether a file there that isn't in `folder` is ours to delete.
        note: Called with one sentence of progress at a time.
        sleep: Waits for so many seconds.

    Raises:
        HFSelectError: The Hub refuses, doesn't answer for long, or holds something else than was sent.
    """
    api = _api()
    names = sorted(str(file.relative_to(folder).as_posix()) for file in folder.rglob("*") if file.is_file())
    if found.head is None:
        note(f"making the {'private' if target.private else 'public'} repository {target.repo_id}")
        retrying(lambda: _create(api, target), target.repo_id, note=note, sleep=sleep)
    if target.revision is not None:
        retrying(lambda: _branch(api, target), target.repo_id, note=note, sleep=sleep)

    def send() -> Any:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        now = _look(api, target)
        stale = [name for name in now.files if name not in names and owned(name)]
        adds = [CommitOperationAdd(name, str(folder / name)) for name in names]
        done = api.create_commit(
            target.repo_id,
            [*adds, *map(CommitOperationDelete, stale)],
            commit_message=message,
            repo_type=target.repo_type,
            revision=target.revision,
            create_pr=target.create_pr or None,
            parent_commit=now.head,
        )
        return done, done.oid != now.head

    note(f"sending {len(names):,} files to {target.repo_id}")
    done, changed = retrying(send, target.repo_id, note=note, sleep=sleep)
    at = f"refs/pr/{done.pr_num}" if done.pr_url else done.oid
    retrying(lambda: _verify(api, folder, names, target, at), target.repo_id, note=note, sleep=sleep)
    size = sum((folder / name).stat().st_size for name in names)
    return Published(target.repo_id, done.commit_url, done.oid, tuple(names), size, changed, done.pr_url)


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="hf_select")


def _look(api: HfApi, target: Target) -> Found:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = api.repo_info(target.repo_id, repo_type=target.repo_type, revision=target.revision)
    except RepositoryNotFoundError:
        return Found()
    except RevisionNotFoundError:
        info = api.repo_info(target.repo_id, repo_type=target.repo_type)
    files = tuple(file.rfilename for file in info.siblings or [])
    card = None
    if "README.md" in files:
        path = api.hf_hub_download(target.repo_id, "README.md", repo_type=target.repo_type, revision=info.sha)
        card = Path(path).read_text("utf-8", errors="replace")
    return Found(info.sha, files, card)


def _create(api: HfApi, target: Target) -> None:
    api.create_repo(target.repo_id, repo_type=target.repo_type, private=target.private, exist_ok=True)


def _branch(api: HfApi, target: Target) -> None:
    api.create_branch(target.repo_id, repo_type=target.repo_type, branch=target.revision, exist_ok=True)


def _verify(api: HfApi, folder: Path, names: list[str], target: Target, revision: str) -> None:
    info = api.repo_info(target.repo_id, repo_type=target.repo_type, revision=revision, files_metadata=True)
    there = {file.rfilename: file for file in info.siblings or []}
    for name in names:
        file, content = there.get(name), (folder / name).read_bytes()
        same = file is not None and (
            file.lfs.sha256 == hashlib.sha256(content).hexdigest()
            if file.lfs is not None
            else file.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        )
        if not same:
            raise HFSelectError(f"{target.repo_id} holds another {name} than was sent: run the same command again.")
