"""Uploads and commits: which way a file goes, the LFS store in one part or several, Xet, and the commit itself."""

from __future__ import annotations

import base64
import hashlib
import json
import time

from loopback_hub import cards
from loopback_hub.access import at, readable, writable
from loopback_hub.replies import ok, refused
from loopback_hub.store import LARGE, LFS_SUFFIXES, Blob, Commit, Repo

EXPIRES_S = 3600


def _pulls(ask) -> bool:
    return ask.query.get("create_pr") == "1"


def preupload(ask, kind, id, rev):
    repo = writable(ask, kind, id, pull=_pulls(ask))
    commit = at(repo, "main" if _pulls(ask) else rev)
    files = []
    for file in ask.json()["files"]:
        path = file["path"]
        binary = b"\0" in base64.b64decode(file.get("sample", ""))
        mode = "lfs" if path.endswith(LFS_SUFFIXES) or file["size"] > LARGE or binary else "regular"
        there = {"oid": commit.tree[path].etag} if path in commit.tree else {}
        files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **there})
    return ok({"files": files})


def lfs_batch(ask, kind, id):
    kind = (kind or "models").rstrip("/")
    # A pull request's files are asked for without a word of it.
    repo = writable(ask, kind, id, pull=True)
    objects = []
    for one in ask.json()["objects"]:
        oid, size, part = one["oid"], one["size"], ask.hub.part_size
        if oid in repo.lfs:
            objects.append({"oid": oid, "size": size})
            continue
        place = f"{kind}/{repo.id}/{oid}"
        upload = {"href": f"{ask.hub.files_url}/lfs/{place}"}
        if part is not None and size > part:
            urls = {str(n + 1): f"{upload['href']}/{n + 1}" for n in range(-(-size // part))}
            upload = {"href": f"{ask.base}/lfs-parts/{place}", "header": {"chunk_size": str(part), **urls}}
        verify = {"href": f"{ask.base}/lfs-verify/{place}"}
        objects.append({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
    return ok({"transfer": "basic" if ask.hub.part_size is None else "multipart", "objects": objects})


def _store(repo: Repo, oid: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != oid:
        raise refused(400, message="the content is not what was announced")
    repo.lfs[oid] = Blob(data, True)


def lfs_put(ask, kind, id, oid):
    _store(ask.hub.find(kind, id), oid, ask.body)
    return ok()


def lfs_put_part(ask, kind, id, oid, number):
    ask.hub.find(kind, id).parts.setdefault(oid, {})[int(number)] = ask.body
    return ok(ETag=f'"{hashlib.md5(ask.body).hexdigest()}"')


def lfs_join_parts(ask, kind, id, oid):
    repo = ask.hub.find(kind, id)
    named = {part["partNumber"]: part["etag"].strip('"') for part in ask.json()["parts"]}
    parts = repo.parts.pop(oid)
    if named != {number: hashlib.md5(part).hexdigest() for number, part in parts.items()}:
        raise refused(400, message="the parts are not what was sent")
    _store(repo, oid, b"".join(parts[number] for number in sorted(parts)))
    return ok()


def lfs_verify(ask, kind, id, oid):
    known = writable(ask, kind, id, pull=True).lfs.get(oid)
    if known is None or len(known.data) != ask.json()["size"]:
        raise refused(404, message="no such object")
    return ok()


def lfs_duplicate(ask, kind, id):
    source, target = readable(ask, kind, id), ask.json()["target"]
    into = writable(ask, f"{target['type']}s", target["name"])
    for file in ask.json()["files"]:
        into.lfs[file["sha256"]] = source.lfs[file["sha256"]]
    return ok({"success": [], "failed": []})


def xet_token(ask, kind, id, right, rev):
    writable(ask, kind, id, pull=_pulls(ask)) if right == "write" else readable(ask, kind, id)
    if ask.hub.xet is None:
        raise refused(404, message="Xet is not enabled here")
    url, token, until = ask.hub.xet.url, "xet-token", int(time.time()) + EXPIRES_S
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": until}
    return ok({"casUrl": url, "accessToken": token, "exp": until}, **headers)


def _large(ask, repo: Repo, oid: str) -> Blob:
    if oid not in repo.lfs and ask.hub.xet is not None:
        repo.lfs |= ask.hub.xet.blobs([oid])
    if oid not in repo.lfs:
        raise refused(400, message=f"LFS pointer pointed to a file that does not exist: {oid}")
    return repo.lfs[oid]


def _changed(ask, repo: Repo, parent: Commit, lines: list[dict]) -> dict[str, Blob]:
    files = dict(parent.tree)
    for line in lines:
        key, value = line["key"], line["value"]
        path = value["path"]
        if path.startswith("/") or ".." in path.split("/") or path.split("/")[0] == ".git":
            raise refused(400, message=f"Invalid path in the repository: {path}")
        if key == "file":
            files[path] = Blob(base64.b64decode(value["content"]), False)
            if len(files[path].data) > LARGE:
                raise refused(400, message=f"{path} is larger than 10 MB and must be stored as LFS")
        elif key == "lfsFile":
            files[path] = _large(ask, repo, value["oid"])
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise refused(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
        elif key == "deletedFolder":
            files = {name: blob for name, blob in files.items() if not name.startswith(path.rstrip("/") + "/")}
        else:
            raise refused(400, message=f"unknown operation {key}")
    return files


def commit(ask, kind, id, rev):
    repo = writable(ask, kind, id, pull=_pulls(ask))
    parent, ref = at(repo, rev), repo.ref(rev)
    if ref is None or ref.startswith("refs/tags/"):
        raise refused(404, "RevisionNotFound", f"{rev} is no branch")
    header, *lines = (json.loads(line) for line in ask.body.splitlines() if line.strip())
    said = header["value"]
    if said.get("parentCommit") not in (None, parent.sha):
        raise refused(412, message="A commit has happened since. Please refresh and try again.")
    files = _changed(ask, repo, parent, lines)
    if (card := files.get("README.md")) is not parent.tree.get("README.md") and card is not None:
        errors, _ = cards.problems(card.data.decode(), kind.rstrip("s"))
        if errors:
            raise refused(400, message="Invalid metadata in README.md. " + " ".join(errors))
    made = repo.add(files, said["summary"], parent.sha, message=said.get("description") or "", author=ask.user.name)
    place = f"{ask.base}/{'' if kind == 'models' else kind + '/'}{repo.id}"
    data = {"success": True, "commitOid": made.sha, "commitUrl": f"{place}/commit/{made.sha}"}
    if _pulls(ask):
        ref = ask.hub.new_pull()
        data["pullRequestUrl"] = f"{place}/discussions/{ref.removeprefix('refs/pr/')}"
    repo.refs[ref] = made.sha
    return ok(data)
