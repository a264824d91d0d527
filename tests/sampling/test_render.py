from html.parser import HTMLParser

from hf_select import Selection
from hf_select.sampling.selection import Quota, selection_table

HOSTILE = "<script>alert(1)</script>\x1b[31m\nrow & co"


def hostile():
    table = selection_table(["k0"], [HOSTILE], None, ["top"])
    quotas = [Quota(HOSTILE, 12345, 0.25, 1, 1), Quota("plain", 2, 0.75, 0, 0)]
    recipe = {"sampler": "Top", "budget": "15%", "seed": 0, "pool_rows": 9, "included": 1}
    return Selection(table, quotas, recipe, [f"note {HOSTILE}"], {HOSTILE: 3})


def test_summary_is_a_table_that_no_terminal_obeys():
    text = hostile().summary()
    lines = text.splitlines()
    assert lines[0] == "1 rows chosen, of 9, by Top, budget 15%, seed 0, 1 of them given as seed rows"
    assert lines[1].split() == ["group", "available", "weight", "quota", "picked"]
    assert set(lines[2]) == {" ", "-"}
    assert "12,345" in lines[3] and lines[4].split() == ["plain", "2", "0.7500", "0", "0"]
    assert len(lines) == 7 and "\x1b" not in text and text.count("?[31m row & co") == 3
    assert len({len(line) for line in lines[1:5]}) == 1
    assert str(hostile()) == text


def test_a_name_without_end_is_cut():
    quotas = [Quota("g" * 10_000, 1, 1.0, 1, 1)]
    text = Selection(selection_table([], [], None, []), quotas, {}, ["n" * 10_000]).summary()
    assert max(map(len, text.splitlines())) < 300 and "ggg..." in text and "nnn..." in text


def test_html_is_escaped_and_well_formed():
    markup = hostile()._repr_html_()
    assert "<script" not in markup and "\x1b" not in markup and "&lt;script&gt;" in markup and "&amp; co" in markup
    open_tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Parser().feed(markup)
    assert open_tags == []


def test_many_groups_are_cut_and_counted():
    table = selection_table([], [], None, [])
    text = Selection(table, [Quota(f"g{i}", 1, 0.0, 0, 0) for i in range(75)]).summary()
    assert "... and 15 more groups" in text and "g59" in text and "g60" not in text


def test_an_empty_selection_has_a_summary():
    assert Selection(selection_table([], [], None, [])).summary() == "0 rows chosen"


def test_a_budget_in_tokens_shows_tokens():
    quotas = [Quota("a", 5, 1.0, 2000, 3, 1990)]
    lines = Selection(selection_table([], [], None, []), quotas).summary().splitlines()
    assert lines[1].split() == ["group", "available", "weight", "quota", "picked", "tokens"]
    assert lines[3].split() == ["a", "5", "1.0000", "2,000", "3", "1,990"]
