"""What the loopback Hub keeps: users, repositories with commits, stored blobs, faults to come, and what was asked."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
from dataclasses import dataclass, field

LFS_SUFFIXES = (".parquet", ".safetensors", ".png", ".bin", ".arrow")


@dataclass(frozen=True)
class User:
    name: str
    token: str
    role: str = "write"
    orgs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blob:
    """One file's content: its git id, and its sha256 where it is stored as LFS."""

    data: bytes
    lfs: bool

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
    tree: dict[str, Blob]
    title: str


@dataclass
class Repo:
    kind: str
    id: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit | None:
        sha = self.branches.get(revision) or self.pulls.get(revision) or revision
        return self.commits.get(sha)

    def add(self, tree: dict[str, Blob], title: str, parent: str | None) -> Commit:
        number = len(self.commits)
        sha = hashlib.sha1(f"{self.kind}/{self.id}/{number}/{title}".encode()).hexdigest()
        self.commits[sha] = Commit(sha, parent, tree, title)
        return self.commits[sha]


@dataclass
class Fault:
    """What happens to the next `times` requests that fit; kind "status", "reset", "lost" (done, reply cut), "cut"."""

    method: str
    path: re.Pattern
    times: int
    kind: str = "status"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": "injected"}'


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    status: int
    size: int


class Store:
    """All state; every handler thread holds `lock` while it reads or changes it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.log: list[Asked] = []
        self._pull = itertools.count(1)

    def user(self, name: str, role: str = "write", orgs: tuple[str, ...] = ()) -> User:
        made = User(name, f"hf_token_of_{name}_{role}", role, orgs)
        self.users[made.token] = made
        return made

    def repo(self, id: str, kind: str = "datasets", files: dict[str, bytes] | None = None, **about: bool) -> Repo:
        """Make a repository with one commit of `files` (a first commit is always there, as on the Hub)."""
        repo = Repo(kind, id, **about)
        tree = {path: Blob(data, path.endswith(LFS_SUFFIXES)) for path, data in (files or {}).items()}
        tree.setdefault(".gitattributes", Blob(b"*.parquet filter=lfs\n", False))
        repo.branches["main"] = repo.add(tree, "initial commit", None).sha
        self.repos[kind, id] = repo
        for blob in tree.values():
            if blob.lfs:
                self.lfs[blob.sha256] = blob.data
        return repo

    def files(self, id: str, kind: str = "datasets", revision: str = "main") -> dict[str, bytes]:
        commit = self.repos[kind, id].resolve(revision)
        return {path: blob.data for path, blob in commit.tree.items()}

    def commits(self, id: str, kind: str = "datasets") -> list[str]:
        """Titles of the commits on main, oldest first, without the initial one."""
        repo = self.repos[kind, id]
        titles, at = [], repo.branches["main"]
        while at is not None:
            commit = repo.commits[at]
            titles.append(commit.title)
            at = commit.parent
        return titles[::-1][1:]

    def fail(self, method: str, path: str, *, times: int = 1, **fault: object) -> None:
        self.faults.append(Fault(method, re.compile(path), times, **fault))

    def due(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.path.search(path):
                    fault.times -= 1
                    return fault
        return None

    def count(self, method: str, path: str, status: int | None = None) -> int:
        wanted = re.compile(path)
        return sum(
            one.method == method and bool(wanted.search(one.path)) and status in (None, one.status) for one in self.log
        )

    def new_pull(self) -> str:
        return str(next(self._pull))
