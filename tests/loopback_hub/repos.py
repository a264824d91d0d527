"""Accounts, repositories as a whole, and their references."""

from __future__ import annotations

from loopback_hub import cards
from loopback_hub.access import ANONYMOUS, at, may_create, readable, seen, writable
from loopback_hub.reading import about, paged
from loopback_hub.replies import Reply, ok, refused

KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}


def whoami(ask):
    user = ask.user
    if user is None:
        raise refused(401, message=ANONYMOUS)
    token = {"role": user.role, "displayName": "test"}
    if user.role == "fineGrained":
        rights = ["repo.content.read", "repo.write"]
        entities = [
            {"entity": {"name": n, "type": "user" if n == user.name else "org"}, "permissions": rights}
            for n in user.scopes
        ]
        token["fineGrained"] = {"scoped": entities, "global": [], "canReadGatedRepos": True}
    orgs = [{"name": name, "fullname": name, "type": "org", "roleInOrg": role} for name, role in user.orgs.items()]
    return ok(
        {
            "name": user.name,
            "fullname": user.name,
            "type": "user",
            "email": f"{user.name}@example.invalid",
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def validate_yaml(ask):
    asked = ask.json()
    errors, warnings = cards.problems(asked["content"], asked.get("repoType") or "model")
    data = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return Reply(400 if errors else 200, data)


def _named(ask) -> tuple[str, str]:
    asked = ask.json()
    owner = asked.get("organization") or (ask.user.name if ask.user else "")
    return KINDS[asked.get("type") or "model"], f"{owner}/{asked['name']}"


def create(ask):
    if ask.user is None:
        raise refused(401, message=ANONYMOUS)
    kind, id = _named(ask)
    may_create(ask, id.split("/")[0])
    url = f"{ask.base}/{'' if kind == 'models' else kind + '/'}{id}"
    if ask.hub.find(kind, id) is not None:
        return Reply(409, {"error": f"You already created this {kind.rstrip('s')} repo", "url": url})
    asked = ask.json()
    ask.hub.repo(id, kind, private=asked.get("visibility") == "private" or asked.get("private") is True)
    return ok({"url": url, "name": id})


def delete(ask):
    if ask.user is None:
        raise refused(401, message=ANONYMOUS)
    kind, id = _named(ask)
    repo = writable(ask, kind, id)
    del ask.hub.repos[kind, repo.id]
    return ok()


def move(ask):
    asked = ask.json()
    kind, old, new = KINDS[asked.get("type") or "model"], asked["fromRepo"], asked["toRepo"]
    repo = writable(ask, kind, old)
    may_create(ask, new.split("/")[0])
    if (kind, new) in ask.hub.repos:
        raise refused(409, message=f"{new} exists already")
    ask.hub.repos[kind, new] = ask.hub.repos.pop((kind, repo.id))
    repo.id = new
    ask.hub.moved[kind, old] = new
    return ok()


def settings(ask, kind, id):
    repo, asked = writable(ask, kind, id), ask.json()
    if "visibility" in asked or "private" in asked:
        repo.private = asked.get("visibility") == "private" or asked.get("private") is True
    repo.gated = asked.get("gated", repo.gated)
    return ok()


def listing(ask, kind):
    wanted = ask.query
    found = []
    for (of, id), repo in sorted(ask.hub.repos.items()):
        hidden = repo.private and (ask.user is None or not ask.user.sees(repo.owner))
        if of != kind or hidden or repo.owner != wanted.get("author", repo.owner):
            continue
        data = about(repo, repo.resolve("main"))
        if wanted.get("search", "") in id and wanted.get("filter") in (None, *data["tags"]):
            found.append(data)
    return paged(ask, found, int(wanted.get("limit", ask.hub.page)))


def auth_check(ask, kind, id):
    readable(ask, kind, id)
    return ok()


def refs(ask, kind, id):
    repo = seen(ask, kind, id)

    def listed(prefix):
        names = repo.named(prefix).items()
        return [{"name": name, "ref": prefix + name, "targetCommit": sha} for name, sha in names]

    pulls = {"pullRequests": listed("refs/pr/")} if "include_prs" in ask.query else {}
    return ok({"branches": listed("refs/heads/"), "converts": [], "tags": listed("refs/tags/"), **pulls})


def commits(ask, kind, id, rev):
    repo = seen(ask, kind, id)
    at(repo, rev)
    line = [
        {"id": c.sha, "title": c.title, "message": c.message, "date": c.date, "authors": [{"user": c.author}]}
        for c in repo.history(rev)
    ]
    return paged(ask, line, ask.hub.page)


def _new_ref(repo, ref: str, start: str):
    if ref in repo.refs:
        raise refused(409, message=f"Reference already exists: {ref}")
    repo.refs[ref] = at(repo, start).sha
    return ok()


def branch(ask, kind, id, name):
    start = ask.json().get("startingPoint") or "main"
    return _new_ref(writable(ask, kind, id), f"refs/heads/{name}", start)


def tag(ask, kind, id, rev):
    return _new_ref(writable(ask, kind, id), f"refs/tags/{ask.json()['tag']}", rev)


def _drop_ref(repo, ref: str):
    if repo.refs.pop(ref, None) is None:
        raise refused(404, "RevisionNotFound", f"Invalid rev id: {ref}")
    return ok()


def delete_branch(ask, kind, id, name):
    return _drop_ref(writable(ask, kind, id), f"refs/heads/{name}")


def delete_tag(ask, kind, id, name):
    return _drop_ref(writable(ask, kind, id), f"refs/tags/{name}")


def squash(ask, kind, id, name):
    repo = writable(ask, kind, id)
    tree = at(repo, name).tree
    repo.refs[f"refs/heads/{name}"] = repo.add(tree, ask.json().get("message") or "squashed", None).sha
    return ok()
