"""Which function answers which request."""

from __future__ import annotations

import re
from urllib.parse import unquote

from loopback_hub import reading, repos, writing
from loopback_hub.replies import Reply, refused

KIND = "(?P<kind>models|datasets|spaces)"
PREFIX = r"(?P<kind>datasets/|spaces/)?"
ID = r"(?P<id>[\w.-]+/[\w.-]+)"
REV = r"(?P<rev>[^/]+)"
NAME = r"(?P<name>[^/]+)"
REPO = f"/api/{KIND}/{ID}"
STORED = rf"{KIND}/{ID}/(?P<oid>[0-9a-f]{{64}})"

ROUTES = [
    ("GET", "/api/whoami-v2", repos.whoami),
    ("POST", "/api/validate-yaml", repos.validate_yaml),
    ("POST", "/api/repos/create", repos.create),
    ("DELETE", "/api/repos/delete", repos.delete),
    ("POST", "/api/repos/move", repos.move),
    ("GET", f"/api/{KIND}", repos.listing),
    ("PUT", f"{REPO}/settings", repos.settings),
    ("GET", REPO, reading.info),
    ("GET", f"{REPO}/revision/{REV}", reading.info),
    ("GET", f"{REPO}/tree/{REV}(?:/(?P<path>.*))?", reading.tree),
    ("POST", f"{REPO}/paths-info/{REV}", reading.paths_info),
    ("GET", f"{REPO}/auth-check", repos.auth_check),
    ("GET", f"{REPO}/refs", repos.refs),
    ("GET", f"{REPO}/commits/{REV}", repos.commits),
    ("POST", f"{REPO}/branch/{NAME}", repos.branch),
    ("DELETE", f"{REPO}/branch/{NAME}", repos.delete_branch),
    ("POST", f"{REPO}/tag/{REV}", repos.tag),
    ("DELETE", f"{REPO}/tag/{NAME}", repos.delete_tag),
    ("POST", f"{REPO}/super-squash/{NAME}", repos.squash),
    ("POST", f"{REPO}/preupload/{REV}", writing.preupload),
    ("POST", f"{REPO}/commit/{REV}", writing.commit),
    ("POST", f"{REPO}/lfs-files/duplicate", writing.lfs_duplicate),
    ("GET", f"{REPO}/xet-(?P<right>read|write)-token/{REV}", writing.xet_token),
    ("POST", f"/{PREFIX}{ID}.git/info/lfs/objects/batch", writing.lfs_batch),
    ("PUT", f"/lfs/{STORED}", writing.lfs_put),
    ("PUT", rf"/lfs/{STORED}/(?P<number>\d+)", writing.lfs_put_part),
    ("POST", f"/lfs-parts/{STORED}", writing.lfs_join_parts),
    ("POST", f"/lfs-verify/{STORED}", writing.lfs_verify),
    ("GET", f"/{PREFIX}{ID}/resolve/{REV}/(?P<path>.+)", reading.resolve),
    ("GET", f"/blob/{STORED}", reading.blob),
]


def answer(ask) -> Reply:
    """Answer a request, or raise its answer."""
    if ask.host:
        if ask.host.startswith("datasets-server."):
            return refused(501, message="no export of this dataset")
        return refused(403, message=f"{ask.host} is not this Hub")
    method = "GET" if ask.command == "HEAD" else ask.command
    for wanted, pattern, function in ROUTES:
        found = re.fullmatch(pattern, ask.route) if method == wanted else None
        if found:
            return function(ask, **{name: value and unquote(value) for name, value in found.groupdict().items()})
    return refused(404, message=f"no such route: {ask.command} {ask.route}")
