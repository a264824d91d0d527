"""Who may see and change what, and what a revision stands for."""

from __future__ import annotations

from loopback_hub.replies import refused
from loopback_hub.store import Commit, Repo

ANONYMOUS = "Invalid username or password."


def seen(ask, kind: str, id: str) -> Repo:
    """Return a repository that exists and that who asks may see."""
    user, repo = ask.user, ask.hub.find(kind, id)
    if repo is None or (repo.private and (user is None or not user.sees(repo.owner))):
        # Without a code the client takes a 401 for a missing repository over https only.
        raise refused(401 if user is None else 404, "RepoNotFound", "Repository not found")
    if repo.disabled:
        raise refused(403, message="Access to this resource is disabled.")
    return repo


def readable(ask, kind: str, id: str) -> Repo:
    """Return a repository whose files who asks may read."""
    repo = seen(ask, kind, id)
    user = ask.user
    if repo.gated and (user is None or not (user.sees(repo.owner) or user.name in repo.granted)):
        words = f"Access to {kind.rstrip('s')} {id} is restricted"
        if user is None:
            raise refused(401, "GatedRepo", f"{words}. You must have access to it and be authenticated to access it.")
        raise refused(403, "GatedRepo", f"{words} and you are not in the authorized list.")
    return repo


def may_create(ask, owner: str) -> None:
    user = ask.user
    if user is None:
        raise refused(401, message=ANONYMOUS)
    if user.role == "read":
        raise refused(403, message="You don't have the rights to create a repository: this token has the role read")
    if not user.writes(owner):
        raise refused(403, message=f'You don\'t have the rights to create a repository under the namespace "{owner}"')


def writable(ask, kind: str, id: str, *, pull: bool = False) -> Repo:
    """Return a repository that who asks may write to; a pull request needs a token that writes anything at all."""
    repo = seen(ask, kind, id)
    user = ask.user
    if user is None:
        raise refused(401, message=ANONYMOUS)
    if user.role == "read":
        raise refused(403, message="this token has the role read, and write is needed")
    if not pull and not user.writes(repo.owner):
        raise refused(403, message=f"you have no write access to {id}: pass create_pr=1 to open a pull request")
    return repo


def at(repo: Repo, revision: str) -> Commit:
    """Return the commit of a revision."""
    commit = repo.resolve(revision)
    if commit is None:
        raise refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit
