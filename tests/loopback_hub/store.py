"""What the loopback Hub keeps: users, and repositories with their commits, references and large files."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LFS_SUFFIXES = (".parquet", ".safetensors", ".png", ".bin", ".arrow")
LARGE = 10_000_000


@dataclass(frozen=True)
class User:
    """One token of an account; `role` is the token's, `orgs` the account's role in each organisation.

    `scopes` are the only namespaces that a "fineGrained" token may write in.
    """

    name: str
    token: str
    role: str = "write"
    orgs: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()

    def sees(self, owner: str) -> bool:
        return owner == self.name or owner in self.orgs

    def writes(self, owner: str) -> bool:
        if self.role == "fineGrained" and owner not in self.scopes:
            return False
        return self.role != "read" and (owner == self.name or self.orgs.get(owner, "read") != "read")


@dataclass(frozen=True)
class Blob:
    """One file's content: its git id, its sha256 where it is stored as LFS, its Xet hash where Xet keeps it."""

    data: bytes
    lfs: bool
    xet: str | None = None

    @property
    def oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    tree: Mapping[str, Blob]
    title: str
    message: str = ""
    author: str = "me"
    date: str = "2026-01-01T00:00:00.000Z"


@dataclass
class Repo:
    """A repository; `refs` has full names (refs/heads/main, refs/tags/v1, refs/pr/1), `lfs` its stored objects."""

    kind: str
    id: str
    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    granted: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    lfs: dict[str, Blob] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def branches(self) -> dict[str, str]:
        """Commit of each branch."""
        return self.named("refs/heads/")

    def named(self, prefix: str) -> dict[str, str]:
        return {ref.removeprefix(prefix): sha for ref, sha in self.refs.items() if ref.startswith(prefix)}

    def ref(self, revision: str) -> str | None:
        """Return the full name of a branch, pull request or tag."""
        return next((r for r in (f"refs/heads/{revision}", revision, f"refs/tags/{revision}") if r in self.refs), None)

    def resolve(self, revision: str) -> Commit | None:
        ref = self.ref(revision)
        return self.commits.get(revision if ref is None else self.refs[ref])

    def add(self, tree: Mapping[str, Blob], title: str, parent: str | None, **about: str) -> Commit:
        number = len(self.commits)
        content = [self.kind, self.id, number, title, parent, sorted((path, blob.oid) for path, blob in tree.items())]
        sha = hashlib.sha1(repr(content).encode()).hexdigest()
        date = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
        self.commits[sha] = Commit(sha, parent, dict(tree), title, date=date, **about)
        self.lfs |= {blob.sha256: blob for blob in tree.values() if blob.lfs}
        return self.commits[sha]

    def history(self, revision: str) -> list[Commit]:
        """Return the commits of a revision, newest first."""
        found, commit = [], self.resolve(revision)
        while commit is not None:
            found.append(commit)
            commit = self.commits.get(commit.parent)
        return found

    def last_change(self, path: str, revision: str) -> Commit:
        """Return the commit that gave a file its content."""
        line = self.history(revision)
        for commit, older in itertools.pairwise(line):
            if older.tree.get(path) != commit.tree.get(path):
                return commit
        return line[-1]


class Store:
    """All state; every handler thread holds `lock` while it reads or changes it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.moved: dict[tuple[str, str], str] = {}
        self.page = 1000
        self.part_size: int | None = None
        self.xet = None
        self._pull = itertools.count(1)

    def user(
        self, name: str, role: str = "write", orgs: Mapping[str, str] | None = None, scopes: tuple[str, ...] = ()
    ) -> User:
        """Give an account a token ("write", "read" or "fineGrained"); `orgs` says its role in organisations."""
        token = "hf_" + hashlib.sha1(repr([name, role, orgs, scopes]).encode()).hexdigest()[:34]
        made = User(name, token, role, dict(orgs or {}), scopes)
        self.users[token] = made
        return made

    def revoke(self, user: User) -> None:
        """Make a token worthless, as when it expires or is deleted."""
        self.users.pop(user.token, None)

    def repo(
        self, id: str, kind: str = "datasets", files: Mapping[str, bytes] | Path | None = None, **about: bool | str
    ) -> Repo:
        """Make a repository with one commit of `files`, a mapping or a folder; `about` is private, gated, disabled."""
        repo = Repo(kind, id, **about)
        tree = {path: Blob(data, path.endswith(LFS_SUFFIXES)) for path, data in contents(files or {}).items()}
        tree.setdefault(".gitattributes", Blob(b"*.parquet filter=lfs\n", False))
        repo.refs["refs/heads/main"] = repo.add(tree, "initial commit", None).sha
        self.repos[kind, id] = repo
        return repo

    def push(
        self,
        id: str,
        files: Mapping[str, bytes] | Path,
        kind: str = "datasets",
        revision: str = "main",
        title: str = "somebody's commit",
    ) -> str:
        """Commit files as somebody else would, without a request, and return the new commit."""
        with self.lock:
            repo = self.repos[kind, id]
            parent = repo.resolve(revision)
            new = {path: Blob(data, path.endswith(LFS_SUFFIXES)) for path, data in contents(files).items()}
            repo.refs[f"refs/heads/{revision}"] = repo.add(parent.tree | new, title, parent.sha).sha
            return repo.branches[revision]

    def head(self, id: str, kind: str = "datasets", revision: str = "main") -> str:
        """Return the commit a revision stands at."""
        return self.repos[kind, id].resolve(revision).sha

    def files(self, id: str, kind: str = "datasets", revision: str = "main") -> dict[str, bytes]:
        """Return all files of a revision."""
        commit = self.repos[kind, id].resolve(revision)
        return {path: blob.data for path, blob in commit.tree.items()}

    def commits(self, id: str, kind: str = "datasets", revision: str = "main") -> list[str]:
        """Return the titles of the commits, oldest first, without the one that made the repository."""
        return [commit.title for commit in self.repos[kind, id].history(revision)][-2::-1]

    def stored(self, id: str, kind: str = "datasets") -> set[str]:
        """Return the sha256 of every large file that a repository has got, committed or not."""
        repo = self.find(kind, id)
        return set() if repo is None else set(repo.lfs)

    def find(self, kind: str, id: str) -> Repo | None:
        """Return a repository by its name or by one that it had."""
        return self.repos.get((kind, self.moved.get((kind, id), id)))

    def new_pull(self) -> str:
        return f"refs/pr/{next(self._pull)}"


def contents(files: Mapping[str, bytes] | Path) -> dict[str, bytes]:
    """Read a folder's files by their relative names; a mapping is one already."""
    if isinstance(files, Path):
        return {path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()}
    return dict(files)
