from hf_select import Selection
from hf_select.sampling.selection import Quota, selection_table


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
