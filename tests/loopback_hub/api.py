"""The answers of the loopback Hub, one function a kind of request; each raises or returns a `Reply`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs, unquote

import yaml
from loopback_hub import server
from loopback_hub.store import LFS_SUFFIXES, Blob, Commit, Repo

KINDS = "models|datasets|spaces"
ID = r"(?P<id>[\w.-]+/[\w.-]+)"
LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc0-1.0", "other", "unknown"}


def answer(ask):
    for method, pattern, function in ROUTES:
        found = re.fullmatch(pattern, ask.route)
        if found and ask.command in method:
            return function(ask, **{k: unquote(v) if v else v for k, v in found.groupdict().items()})
    return server.refused(404, message=f"no such route {ask.route}")


def reply(data=None, **more):
    return server.Reply(200, data if data is not None or "body" in more else {}, **more)


def seen(ask, kind: str, id: str) -> Repo:
    """The repository, if it exists and the asking user may see it."""
    user, repo = ask.user, ask.store.repos.get((kind, id))
    owner = id.split("/")[0]
    if repo is None or (repo.private and (user is None or owner not in (user.name, *user.orgs))):
        raise server.refused(401 if user is None else 404, "RepoNotFound", "Repository not found")
    return repo


def writable(ask, id: str) -> None:
    user = ask.user
    if user is None:
        raise server.refused(401, message="Invalid username or password.")
    if user.role != "write":
        raise server.refused(403, message="This token has no write permission")
    if id.split("/")[0] not in (user.name, *user.orgs):
        raise server.refused(403, message=f"You don't have the rights to create a repo under {id.split('/')[0]}")


def at(repo: Repo, revision: str) -> Commit:
    commit = repo.resolve(revision)
    if commit is None:
        raise server.refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit


def whoami(ask):
    user = ask.user
    if user is None:
        return server.refused(401, message="Invalid username or password.")
    token = {"accessToken": {"role": user.role, "displayName": "t"}}
    orgs = [{"name": name, "type": "org"} for name in user.orgs]
    return reply({"name": user.name, "fullname": user.name, "type": "user", "orgs": orgs, "auth": token})


def validate_yaml(ask):
    content = ask.json()["content"]
    parts = content.split("---\n")
    try:
        data = yaml.safe_load(parts[1]) if content.startswith("---") and len(parts) > 2 else {}
    except yaml.YAMLError as error:
        return server.Reply(400, {"errors": [{"message": f"invalid YAML: {error}"}], "warnings": []})
    errors = []
    if data.get("license") is not None and data["license"] not in LICENSES:
        errors.append({"message": f'"license" must be one of {sorted(LICENSES)}'})
    if not isinstance(data.get("tags", []), list):
        errors.append({"message": '"tags" must be an array'})
    return server.Reply(400 if errors else 200, {"errors": errors, "warnings": []})


def create(ask):
    asked = ask.json()
    user = ask.user
    if user is None:
        return server.refused(401, message="Invalid username or password.")
    id = f"{asked.get('organization') or user.name}/{asked['name']}"
    writable(ask, id)
    kind = {"model": "models", "dataset": "datasets", "space": "spaces"}[asked.get("type") or "model"]
    url = f"{ask.base}/{'' if kind == 'models' else kind + '/'}{id}"
    if (kind, id) in ask.store.repos:
        return server.Reply(409, {"error": "You already created this repo", "url": url})
    ask.store.repo(id, kind, private=asked.get("visibility") == "private")
    return reply({"url": url})


def info(ask, kind, id, rev=None):
    repo = seen(ask, kind, id)
    commit = at(repo, rev or "main")
    files = []
    for path, blob in sorted(commit.tree.items()):
        entry = {"rfilename": path, "size": len(blob.data), "blobId": blob.oid}
        if blob.lfs:
            entry["lfs"] = {"sha256": blob.sha256, "size": len(blob.data), "pointerSize": 130}
        files.append(entry)
    card = commit.tree.get("README.md")
    data = {"id": id, "author": id.split("/")[0], "sha": commit.sha, "private": repo.private, "gated": repo.gated}
    data |= {"lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z", "disabled": False}
    data |= {"downloads": 0, "likes": 0, "tags": [], "siblings": files}
    if card is not None and card.data.startswith(b"---"):
        data["cardData"] = yaml.safe_load(card.data.decode().split("---\n")[1])
    return reply(data)


def entry_of(path: str, blob: Blob) -> dict:
    entry = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
    return entry | ({"lfs": {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 130}} if blob.lfs else {})


def tree(ask, kind, id, rev, path=""):
    commit = at(seen(ask, kind, id), rev)
    inside = {name: blob for name, blob in commit.tree.items() if not path or name.startswith(f"{path}/")}
    if path and not inside:
        return server.refused(404, "EntryNotFound", f"{path} does not exist")
    if ask.query.get("recursive", "false").lower() == "true":
        return reply([entry_of(name, blob) for name, blob in sorted(inside.items())])
    depth = len(path.split("/")) if path else 0
    found, folders = [], set()
    for name, blob in sorted(inside.items()):
        words = name.split("/")
        if len(words) == depth + 1:
            found.append(entry_of(name, blob))
        else:
            folders.add("/".join(words[: depth + 1]))
    return reply([*({"type": "directory", "oid": "0" * 40, "size": 0, "path": f} for f in sorted(folders)), *found])


def paths_info(ask, kind, id, rev):
    commit = at(seen(ask, kind, id), rev)
    wanted = parse_qs(ask.body.decode()).get("paths", []) if not ask.body.startswith(b"{") else ask.json()["paths"]
    return reply([entry_of(path, commit.tree[path]) for path in wanted if path in commit.tree])


def refs(ask, kind, id):
    repo = seen(ask, kind, id)
    named = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": sha} for n, sha in repo.branches.items()]
    return reply({"branches": named, "converts": [], "tags": [], "pullRequests": []})


def branch(ask, kind, id, name):
    repo = seen(ask, kind, id)
    writable(ask, id)
    if name in repo.branches:
        return server.Reply(409, {"error": "Reference already exists"})
    repo.branches[name] = at(repo, ask.json().get("startingPoint") or "main").sha
    return reply()


def preupload(ask, kind, id, rev):
    repo = seen(ask, kind, id)
    writable(ask, id)
    commit = repo.resolve(rev) or at(repo, "main")
    files = []
    for file in ask.json()["files"]:
        mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) or file["size"] > 1_000_000 else "regular"
        known = commit.tree.get(file["path"])
        oid = {"oid": known.etag} if known is not None else {}
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return reply({"files": files})


def lfs_batch(ask, kind, id):
    seen(ask, kind.rstrip("/") if kind else "models", id)
    writable(ask, id)
    objects = []
    for one in ask.json()["objects"]:
        actions = {}
        if one["oid"] not in ask.store.lfs:
            place = f"{ask.server.files_url}/lfs/{one['oid']}"
            actions = {"actions": {"upload": {"href": place}, "verify": {"href": f"{ask.base}/verify/{one['oid']}"}}}
        objects.append(one | actions)
    return reply({"transfer": "basic", "objects": objects})


def lfs_put(ask, oid):
    if hashlib.sha256(ask.body).hexdigest() != oid:
        return server.refused(400, message="the content is not what was announced")
    ask.store.lfs[oid] = ask.body
    return reply(body=b"")


def lfs_verify(ask, oid):
    known = ask.store.lfs.get(oid)
    if known is None or len(known) != ask.json()["size"]:
        return server.refused(404, message="no such object")
    return reply()


def commit(ask, kind, id, rev):
    repo = seen(ask, kind, id)
    writable(ask, id)
    lines = [json.loads(line) for line in ask.body.splitlines() if line.strip()]
    header = lines[0]["value"]
    parent = at(repo, rev)
    if header.get("parentCommit") not in (None, parent.sha):
        return server.refused(412, message="A commit has happened since. Please refresh and try again.")
    files = dict(parent.tree)
    for line in lines[1:]:
        key, value = line["key"], line["value"]
        if key == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            if value["oid"] not in ask.store.lfs:
                return server.refused(400, message=f"LFS object {value['oid']} is missing")
            files[value["path"]] = Blob(ask.store.lfs[value["oid"]], True)
        elif key == "deletedFile":
            if files.pop(value["path"], None) is None:
                return server.refused(404, "EntryNotFound", "A file with this name doesn't exist")
        else:
            files = {p: b for p, b in files.items() if not p.startswith(value["path"].rstrip("/") + "/")}
    made = repo.add(files, header["summary"], parent.sha)
    prefix = "" if kind == "models" else f"{kind}/"
    data = {"commitOid": made.sha, "commitUrl": f"{ask.base}/{prefix}{id}/commit/{made.sha}"}
    if ask.query.get("create_pr") == "1":
        number = ask.store.new_pull()
        repo.pulls[f"refs/pr/{number}"] = made.sha
        data["pullRequestUrl"] = f"{ask.base}/{prefix}{id}/discussions/{number}"
    else:
        repo.branches[rev if rev in repo.branches else "main"] = made.sha
    return reply(data)


def resolve(ask, kind, id, rev, path):
    kind = kind.rstrip("/") if kind else "models"
    repo = seen(ask, kind, id)
    if repo.gated and (ask.user is None or id.split("/")[0] != ask.user.name):
        return server.refused(401 if ask.user is None else 403, "GatedRepo", "Access to this dataset is restricted.")
    found = at(repo, rev)
    blob = found.tree.get(path)
    if blob is None:
        missing = server.refused(404, "EntryNotFound", "Entry not found")
        missing.headers["X-Repo-Commit"] = found.sha
        return missing
    headers = {"X-Repo-Commit": found.sha, "ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
    if not blob.lfs:
        return reply(body=blob.data, headers=headers)
    headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": len(blob.data)}
    return server.Reply(302, body=b"", headers=headers | {"Location": f"{ask.server.files_url}/blob/{blob.sha256}"})


def blob(ask, oid):
    headers = {"ETag": f'"{oid}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    return reply(body=ask.store.lfs[oid], headers=headers)


def delete(ask):
    asked = ask.json()
    kind = {"model": "models", "dataset": "datasets"}[asked.get("type") or "model"]
    id = f"{asked.get('organization') or ask.user.name}/{asked['name']}"
    seen(ask, kind, id)
    writable(ask, id)
    del ask.store.repos[kind, id]
    return reply()


KIND = f"(?P<kind>{KINDS})"
MAYBE = r"(?P<kind>datasets/|spaces/)?"
REV = r"(?P<rev>[^/]+|refs%2F[^/]+)"
ROUTES = [
    (("GET",), "/api/whoami-v2", whoami),
    (("POST",), "/api/validate-yaml", validate_yaml),
    (("POST",), "/api/repos/create", create),
    (("DELETE",), "/api/repos/delete", delete),
    (("GET",), f"/api/{KIND}/{ID}", info),
    (("GET",), f"/api/{KIND}/{ID}/revision/{REV}", info),
    (
        ("GET",),
        f"/api/{KIND}/{ID}/tree/{REV}(?:/(?P<path>.*))?",
        lambda ask, path=None, **k: tree(ask, path=path or "", **k),
    ),
    (("POST",), f"/api/{KIND}/{ID}/paths-info/{REV}", paths_info),
    (("GET",), f"/api/{KIND}/{ID}/refs", refs),
    (("POST",), f"/api/{KIND}/{ID}/branch/(?P<name>[^/]+)", branch),
    (("POST",), f"/api/{KIND}/{ID}/preupload/{REV}", preupload),
    (("POST",), f"/{MAYBE}{ID}.git/info/lfs/objects/batch", lfs_batch),
    (("PUT",), r"/lfs/(?P<oid>\w+)", lfs_put),
    (("POST",), r"/verify/(?P<oid>\w+)", lfs_verify),
    (("POST",), f"/api/{KIND}/{ID}/commit/{REV}", commit),
    (("GET", "HEAD"), f"/{MAYBE}{ID}/resolve/{REV}/(?P<path>.+)", resolve),
    (("GET", "HEAD"), r"/blob/(?P<oid>\w+)", blob),
]
