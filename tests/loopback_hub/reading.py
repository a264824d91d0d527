"""What is in a repository: information, trees, and files with their headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode

from loopback_hub import cards
from loopback_hub.access import at, readable, seen
from loopback_hub.replies import Reply, ok, refused
from loopback_hub.store import Blob, Commit, Repo


def paged(ask, entries: list[Any], size: int) -> Reply:
    """Return one page of a list, and where the next one is."""
    start = int(ask.query.get("cursor", 0))
    more = {}
    if start + size < len(entries):
        query = urlencode(ask.query | {"cursor": start + size})
        more = {"Link": f'<{ask.base}{ask.route}?{query}>; rel="next"'}
    return ok(entries[start : start + size], **more)


def about(repo: Repo, commit: Commit, blobs: bool = False) -> dict[str, Any]:
    """Return what repo_info tells of a repository at a commit."""
    files = []
    for path, blob in sorted(commit.tree.items()):
        entry: dict[str, Any] = {"rfilename": path}
        if blobs:
            entry |= {"size": len(blob.data), "blobId": blob.oid}
            if blob.lfs:
                entry["lfs"] = {"sha256": blob.sha256, "size": len(blob.data), "pointerSize": 130}
        files.append(entry)
    card = commit.tree.get("README.md")
    data = {} if card is None else cards.metadata(card.data.decode())
    tags = [tag for tag in data.get("tags", []) if isinstance(tag, str)]
    return {
        "_id": "0",
        "id": repo.id,
        "author": repo.owner,
        "sha": commit.sha,
        "lastModified": commit.date,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "private": repo.private,
        "gated": "auto" if repo.gated is True else repo.gated,
        "disabled": repo.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": tags + ([f"license:{data['license']}"] if isinstance(data.get("license"), str) else []),
        "usedStorage": sum(len(blob.data) for blob in repo.lfs.values()),
        "siblings": files,
        **({"cardData": data} if data else {}),
    }


def info(ask, kind, id, rev=None):
    repo = seen(ask, kind, id)
    return ok(about(repo, at(repo, rev or "main"), ask.query.get("blobs", "").lower() == "true"))


def entry_of(repo: Repo, path: str, blob: Blob, rev: str | None) -> dict[str, Any]:
    """Describe a file; with a revision also its last commit."""
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
    if blob.lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 130}
    if blob.xet:
        entry["xetHash"] = blob.xet
    if rev is not None:
        last = repo.last_change(path, rev)
        entry["lastCommit"] = {"id": last.sha, "title": last.title, "date": last.date}
    return entry


def tree(ask, kind, id, rev, path=None):
    repo = seen(ask, kind, id)
    commit, path = at(repo, rev), path or ""
    inside = {name: blob for name, blob in sorted(commit.tree.items()) if not path or name.startswith(f"{path}/")}
    if path and not inside:
        raise refused(404, "EntryNotFound", f"{path} does not exist on {rev}")
    expanded = rev if ask.query.get("expand", "").lower() == "true" else None
    folders = sorted({"/".join(w[:n]) for w in (name.split("/") for name in inside) for n in range(1, len(w))})
    folders = [folder for folder in folders if len(folder) > len(path)]
    entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
    entries += [entry_of(repo, name, blob, expanded) for name, blob in inside.items()]
    if ask.query.get("recursive", "").lower() != "true":
        depth = path.count("/") + 1 if path else 0
        entries = [entry for entry in entries if entry["path"].count("/") == depth]
    return paged(ask, entries, ask.hub.page)


def paths_info(ask, kind, id, rev):
    repo = seen(ask, kind, id)
    commit = at(repo, rev)
    asked = ask.json() if ask.body.startswith(b"{") else parse_qs(ask.body.decode())
    expanded = rev if "true" in str(asked.get("expand", "")).lower() else None
    found = []
    for path in asked.get("paths", []):
        if path in commit.tree:
            found.append(entry_of(repo, path, commit.tree[path], expanded))
        elif any(name.startswith(f"{path}/") for name in commit.tree):
            found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
    return ok(found)


def resolve(ask, kind, id, rev, path):
    kind = (kind or "models").rstrip("/")
    repo = readable(ask, kind, id)
    if repo.id != id:
        prefix = "" if kind == "models" else f"{kind}/"
        return Reply(307, headers={"Location": f"{ask.base}/{prefix}{repo.id}/resolve/{rev}/{path}"})
    commit = at(repo, rev)
    blob = commit.tree.get(path)
    common = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
    if blob is None:
        raise refused(404, "EntryNotFound", "Entry not found", **common)
    headers = common | {"ETag": f'"{blob.etag}"', "Content-Type": "application/octet-stream"}
    if not blob.lfs:
        return Reply(200, headers=headers, body=blob.data)
    headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": len(blob.data)}
    if blob.xet:
        route = f"{ask.base}/api/{kind}/{id}/xet-read-token/{commit.sha}"
        headers |= {"X-Xet-Hash": blob.xet, "X-Xet-Refresh-Route": route}
    # On another port, as on a CDN: a redirect to the same host is followed on HEAD, and the file's headers are lost.
    place = f"{ask.hub.files_url}/blob/{kind}/{id}/{blob.sha256}"
    return Reply(302, headers=headers | {"Location": place})


def blob(ask, kind, id, oid):
    headers = {"ETag": f'"{oid}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    return Reply(200, headers=headers, body=ask.hub.find(kind, id).lfs[oid].data)
