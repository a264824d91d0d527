import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation

RULES = ("largest_remainder", "floor_to_argmax", "floor_min1", "half_even")


def softmax(scores, temperature):
    exps = [math.exp(-s / temperature) for s in scores]
    return {f"t{i}": e / sum(exps) for i, e in enumerate(exps)}


def named(values):
    return {f"t{i}": value for i, value in enumerate(values)}


# Computed by running the original functions of PreSel's two scripts (see docs): softmax(-d / T), N = 1000.
HALF = softmax([0.80, 0.85, 0.90, 1.00], 0.5)
ROOT = softmax([0.80, 0.85, 0.90, 1.00], 1 / math.sqrt(10))


@pytest.mark.parametrize(
    ("preset", "weights", "sizes", "parts"),
    [
        ("paper", HALF, [1000] * 4, [296, 266, 241, 197]),
        ("paper", ROOT, [1000] * 4, [322, 274, 234, 170]),
        ("paper-vision-flan", HALF, [1000] * 4, [295, 267, 241, 197]),
        ("paper-vision-flan", HALF, [200, 1000, 1000, 1000], [200, 299, 272, 229]),
        ("paper-vision-flan", HALF, [200] * 4, [200] * 4),
        ("safe", HALF, [1000] * 4, [295, 267, 241, 197]),
        ("safe", HALF, [200] * 4, [200] * 4),
    ],
)
def test_presel_golden_values(preset, weights, sizes, parts):
    assert Allocation.preset(preset).allocate(named(sizes), total=1000, weights=weights) == named(parts)


def test_half_even_rounds_to_even_then_moves_one_in_order_of_size():
    rule = Allocation(rounding="half_even")
    assert rule.allocate({"a": 10, "b": 30}, total=2) == {"a": 0, "b": 2}  # 0.5 and 1.5
    assert rule.allocate({"a": 10, "b": 50}, total=3) == {"a": 0, "b": 3}  # 0.5 and 2.5, one more to the larger
    assert rule.allocate({"a": 30, "b": 30, "c": 20}, total=4) == {"a": 2, "b": 2, "c": 0}  # 1.5, 1.5, 1: one too many


def test_sel_01_parts_add_up_under_both_published_rules():
    weights = softmax([0.5, 0.9, 1.4], 1 / math.sqrt(3))
    assert [round(w, 5) for w in weights.values()] == [0.58461, 0.29240, 0.12299]
    sizes = named([100] * 3)
    assert Allocation.preset("paper").allocate(sizes, total=10, weights=weights) == named([7, 2, 1])
    assert Allocation.preset("safe").allocate(sizes, total=10, weights=weights) == named([6, 3, 1])


@pytest.mark.parametrize("rounding", RULES)
def test_sel_02_equal_scores_give_the_extra_row_by_name(rounding):
    parts = Allocation(rounding=rounding).allocate(
        {"c": 50, "a": 50, "b": 50}, total=10, weights={"a": 0.8, "b": 0.8, "c": 0.8}
    )
    assert parts == {"c": 3, "a": 4, "b": 3}


def test_sel_05_one_group_gets_all():
    for rounding in RULES:
        assert Allocation(rounding=rounding).allocate({"only": 20}, total=7) == {"only": 7}


def test_sel_21_equal_draw_is_capped_and_redistributed():
    assert Allocation("equal").allocate({"tiny": 3, "big": 100}, total=20) == {"tiny": 3, "big": 17}


def test_sel_24_many_groups_few_rows():
    sizes = {f"task {i:03d}": 1000 for i in range(191)}
    for rounding in ("largest_remainder", "floor_min1", "half_even"):
        parts = Allocation("equal", rounding).allocate(sizes, total=50)
        assert sum(parts.values()) == 50 and max(parts.values()) == 1
        assert sum(part == 0 for part in parts.values()) == 141


def test_floor_min1_gives_small_groups_a_row():
    sizes = {"a": 960, "b": 30, "c": 10}
    assert Allocation(rounding="floor_min1").allocate(sizes, total=20) == {"a": 18, "b": 1, "c": 1}
    assert Allocation(rounding="largest_remainder").allocate(sizes, total=20) == {"a": 19, "b": 1, "c": 0}


def test_allow_short_leaves_what_a_group_lacks():
    parts = Allocation("equal", overflow="allow_short").allocate({"tiny": 3, "big": 100}, total=20)
    assert parts == {"tiny": 3, "big": 10}


def test_weight_zero_gets_nothing_even_when_others_are_full():
    assert Allocation({"a": 1, "b": 0}).allocate({"a": 3, "b": 9}, total=10) == {"a": 3, "b": 0}


def test_decimal_weights_have_no_floating_point_dust():
    assert Allocation({"a": 0.3, "b": 0.7}, "floor_to_argmax").allocate({"a": 99, "b": 99}, total=10) == {
        "a": 3,
        "b": 7,
    }


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Allocation(rounding="floor"), UnknownName, "rounding"),
        (lambda: Allocation(overflow="fill"), UnknownName, "overflow"),
        (lambda: Allocation("size"), UnknownName, "proportional"),
        (lambda: Allocation.preset("papr"), UnknownName, "paper"),
        (lambda: Allocation({"a": 1.0}).allocate({"a": 1, "b": 1}, total=1), UsageError, "'b'"),
        (lambda: Allocation({"a": math.nan}).allocate({"a": 1}, total=1), UsageError, "'a'"),
        (lambda: Allocation({"a": -1.0}).allocate({"a": 1}, total=1), UsageError, "-1.0"),
        (lambda: Allocation().allocate({"a": 1}, total=-1), UsageError, "at least 0"),
    ],
)
def test_refusals(make, error, says):
    with pytest.raises(error, match=says):
        make()


groups = st.dictionaries(
    st.text(max_size=3),
    st.tuples(st.integers(0, 60), st.floats(1e-6, 1e6)),
    min_size=1,
    max_size=9,
)


@given(
    groups, st.integers(0, 400), st.sampled_from(RULES), st.sampled_from(["redistribute", "round_robin"]), st.randoms()
)
def test_sums_are_exact_caps_hold_and_order_is_irrelevant(groups, total, rounding, overflow, random):
    sizes = {name: size for name, (size, _) in groups.items()}
    weights = {name: weight for name, (_, weight) in groups.items()}
    rule = Allocation(rounding=rounding, overflow=overflow)
    parts = rule.allocate(sizes, total=total, weights=weights)
    assert sum(parts.values()) == min(total, sum(sizes.values()))
    assert all(0 <= parts[name] <= sizes[name] for name in sizes)
    names = list(sizes)
    random.shuffle(names)
    assert rule.allocate({name: sizes[name] for name in names}, total=total, weights=weights) == parts


@given(groups, st.integers(0, 400), st.sampled_from(RULES))
def test_allow_short_never_exceeds_total_or_sizes(groups, total, rounding):
    sizes = {name: size for name, (size, _) in groups.items()}
    parts = Allocation("equal", rounding, "allow_short").allocate(sizes, total=total)
    assert sum(parts.values()) <= total and all(0 <= parts[name] <= sizes[name] for name in sizes)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_proportional_token_quotas_stay_within_one_of_the_share(sizes, share):
    total = int(share * sum(sizes))
    parts = Allocation().allocate(named(sizes), total=total)
    assert sum(parts.values()) == total
    for name, size in named(sizes).items():
        assert abs(parts[name] - size * total / sum(sizes)) <= 1.001


def test_largest_remainder_is_within_one_of_the_share():
    sizes = {"a": 7, "b": 11, "c": 13}
    for total in range(32):
        for name, part in Allocation().allocate(sizes, total=total).items():
            assert abs(part - sizes[name] * total / 31) < 1
