"""Where something is to be published, what is there now, and what stands in the way: looked at before any work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.merge import BLOCK, read_metadata
from hf_select.hub.trouble import retrying

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ALWAYS_THERE = {".gitattributes", "README.md"}


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

    @property
    def owner(self) -> str:
        """The namespace."""
        return self.repo_id.split("/")[0]


@dataclass(frozen=True)
class Found:
    """What a repository holds now: its head (None where it isn't there), its files, its card's text."""

    head: str | None = None
    files: tuple[str, ...] = ()
    card: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether hf_select wrote the card."""
        return self.card is not None and BLOCK in read_metadata(self.card)


def hub_api() -> HfApi:
    """The Hub's client, under our name."""
    from huggingface_hub import HfApi

    return HfApi(library_name="hf_select")


def preflight(target: Target, *, sleep: Callable[[float], None] = time.sleep) -> Found:
    """Check token, namespace and repository before any work; nothing is changed.

    Raises:
        HFSelectError: In one sentence, what stands in the way and what to do.
    """
    api = hub_api()
    me = retrying(api.whoami, target.repo_id, sleep=sleep)
    _check_token(me.get("auth", {}).get("accessToken", {}), target)
    if not target.create_pr:
        _check_namespace(me, target)
    found = retrying(lambda: look(api, target), target.repo_id, sleep=sleep)
    if target.create_pr and found.head is None:
        raise HFSelectError(f"there is no repository {target.repo_id} to open a pull request in: publish without one.")
    check_replaceable(found, target)
    return found


def look(api: HfApi, target: Target) -> Found:
    """What the repository holds now on the branch, or on the main one where that branch is still to be made."""
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
        try:
            card = Path(path).read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise HFSelectError(f"the card of {target.repo_id} is no UTF-8 text: mend it first.") from error
    return Found(info.sha, files, card)


def check_replaceable(found: Found, target: Target) -> None:
    """Refuse to write over what another tool wrote, unless that is asked for."""
    others = set(found.files) - _ALWAYS_THERE
    if others and not target.overwrite and not found.is_ours:
        some = ", ".join(sorted(others)[:3])
        raise HFSelectError(
            f"{target.repo_id} holds files that hf_select did not write ({some}): choose another name, or add "
            "--overwrite to replace its data."
        )


def check_card(text: str, target: Target, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Ask the Hub whether it accepts a card.

    Raises:
        HFSelectError: With what the Hub says about it.
    """
    from huggingface_hub import RepoCard

    def ask() -> None:
        try:
            RepoCard(text, ignore_metadata_errors=False).validate(repo_type=target.repo_type)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            raise refused_card(error) from error

    retrying(ask, target.repo_id, sleep=sleep)


def refused_card(error: ValueError) -> HFSelectError:
    """What the client raises for a card that the Hub refuses, in one sentence."""
    told = str(error)
    try:
        told = "; ".join(str(one["message"]) for one in json.loads(told)["errors"])
    except (ValueError, KeyError, TypeError):
        told = " ".join(told.split())
    return HFSelectError(f"the Hub refuses the card's metadata: {told}")


def _check_token(token: Mapping[str, Any], target: Target) -> None:
    if token.get("role") == "read":
        raise HFSelectError(f"the token can only read: use one with write access to {target.repo_id}.")
    scoped = token.get("fineGrained", {}).get("scoped")
    if token.get("role") != "fineGrained" or not isinstance(scoped, list) or target.create_pr:
        return
    names = {
        str(entry.get("entity", {}).get("name")) for entry in scoped if "repo.write" in entry.get("permissions", [])
    }
    if not names & {target.owner, target.repo_id}:
        may = f"; it may to {', '.join(sorted(names))}" if names else ""
        raise HFSelectError(f"the token may not write to {target.repo_id}{may}: use one with write access to it.")


def _check_namespace(me: Mapping[str, Any], target: Target) -> None:
    roles = {org["name"]: org.get("roleInOrg") for org in me.get("orgs", [])}
    names = [me["name"], *(name for name, role in roles.items() if role != "read")]
    may = f"it may publish under {', '.join(names)}"
    if roles.get(target.owner) == "read":
        raise HFSelectError(f"the account {me['name']} may only read in {target.owner}; {may}.")
    if target.owner not in names:
        raise HFSelectError(f"the account {me['name']} may not publish under {target.owner}; {may}.")
