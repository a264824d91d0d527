from hf_select import Selection
from hf_select.sampling.difference import alone
from hf_select.sampling.ranked import Bottom, Top
from hf_select.sampling.selection import Quota, selection_table
from hf_select.sampling.uniform import Uniform


def chosen(keys, **quotas):
    table = selection_table(list(keys), ["g"] * len(keys), None, ["top"] * len(keys))
    return Selection(table, [Quota(name, 9, 0.5, quota, quota) for name, quota in quotas.items()])


def test_what_differs():
    diff = chosen("abcd", x=2, y=1, z=1).diff(chosen("edca", x=2, y=2, w=0))
    assert (diff.only_here, diff.only_there, diff.both) == (("b",), ("e",), 3)
    assert diff.jaccard == 0.6
    assert diff.moved == {"y": (1, 2), "z": (1, None), "w": (None, 0)}
    assert str(diff).splitlines()[0] == "3 rows in both, 1 only here, 1 only there (Jaccard 0.600)"
    assert "'y': quota 1 here, 2 there" in str(diff)


def test_empty_selections_agree():
    diff = chosen("").diff(chosen(""))
    assert diff.jaccard == 1.0 and diff.moved == {}


def test_settings_that_differ_are_named_and_counts_are_not(scored):
    table = scored([float(n) for n in range(10)])
    first, second = (
        Top(score="score", group="row_task").select(table, 4),
        Bottom(score="score").select(table, 6, seed=3),
    )
    settings = first.diff(second).settings
    assert settings == {
        "sampler": ("Top", "Bottom"),
        "settings.group": ("row_task", None),
        "budget": ("4 rows", "6 rows"),
        "seed": (0, 3),
    }
    assert first.diff(first).settings == {}


def test_what_only_one_recipe_tells_is_no_difference():
    one, other = chosen("a"), chosen("a")
    published = Selection(one.table, recipe={"sampler": "Top", "pool": {"id": "org/pool"}})
    local = Selection(other.table, recipe={"sampler": "Top", "pool_rows": 7})
    assert published.diff(local).settings == {}


def test_why_not_by_quota_and_by_score(scored):
    table = scored([float(n) for n in range(10)], tasks=["a"] * 5 + ["b"] * 5)
    here, there = (Top(score="score", group="row_task").select(table, rows) for rows in (6, 2))
    found = {row.key: row for row in alone(here, there)}
    assert set(found) == {"r2", "r3", "r7", "r8"}
    assert found["r3"].why_not == "quota 1 there, 3 here; under the scores kept there, 4 to 4"
    assert (found["r3"].group, found["r3"].reason, found["r3"].score) == ("a", "top", 3.0)
    assert alone(there, here) == []


def test_why_not_says_what_is_not_known(scored):
    table = scored([float(n) for n in range(10)], tasks=["a"] * 5 + ["b"] * 5)
    ranked = Top(score="score", group="row_task").select(table, 4)
    drawn = Uniform().select(table, 4, seed=1)
    assert {row.why_not for row in alone(ranked, drawn)} == {"no such group there"}
    other = Uniform().select(table, 4, seed=2)
    assert {row.why_not for row in alone(drawn, other)} == {"not known"}
