import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_select.errors import UsageError
from hf_select.sampling.budget import Budget


@pytest.mark.parametrize(
    ("value", "kind", "amount", "text"),
    [
        ("15%", "share", Decimal(15), "15%"),
        (" 7.50 % ", "share", Decimal("7.5"), "7.5%"),
        ("100%", "share", Decimal(100), "100%"),
        ("0%", "share", Decimal(0), "0%"),
        (1500, "rows", 1500, "1500 rows"),
        ("1500", "rows", 1500, "1500 rows"),
        ("1,500 rows", "rows", 1500, "1500 rows"),
        ("1 row", "rows", 1, "1 rows"),
        ("10k rows", "rows", 10_000, "10000 rows"),
        ("2M tokens", "tokens", 2_000_000, "2000000 tokens"),
        ("1.5B tokens", "tokens", 1_500_000_000, "1500000000 tokens"),
    ],
)
def test_forms(value, kind, amount, text):
    budget = Budget(value)
    assert (budget.kind, budget.amount, str(budget)) == (kind, amount, text)
    assert Budget(text) == budget and hash(Budget(text)) == hash(budget)
    assert Budget(budget) == budget and pickle.loads(pickle.dumps(budget)) == budget


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0.15, "15%"),
        (1.0, "ambiguous"),
        (float("nan"), "ambiguous"),
        ("0.15", "15%"),
        (-1, "below zero"),
        ("-5%", "budget"),
        ("120%", "between 0% and 100%"),
        ("1.5 rows", "whole number"),
        ("many", "15%"),
        ("", "15%"),
        (True, "budget"),
        (None, "budget"),
        ("8 gpu-hours", "tokens"),
    ],
)
def test_refused_in_a_sentence(value, says):
    with pytest.raises(UsageError, match=says):
        Budget(value)


def test_share_is_rounded_half_up():
    assert Budget("15%").rows(7671) == 1151  # 1150.65
    assert Budget("50%").rows(5) == 3
    assert Budget("10%").rows(5) == 1
    assert Budget("0.1%").rows(1500) == 2
    assert Budget("100%").rows(7) == 7


def test_sel_06_budget_0_and_1():
    assert Budget(0).rows(9) == 0
    assert Budget(1).rows(9) == 1
    assert Budget("5%").rows(9) == 0  # 0.45, half up


def test_rows_never_exceed_the_pool_and_tokens_have_none():
    assert Budget(50).rows(30) == 30
    with pytest.raises(UsageError, match="token count"):
        Budget("2M tokens").rows(30)


@given(st.integers(0, 10_000), st.integers(0, 10**7))
def test_share_is_exact_decimal_arithmetic(hundredths, n):
    text = f"{Decimal(hundredths) / 100}%"
    assert Budget(text).rows(n) == (hundredths * n * 2 + 10_000) // 20_000
    assert Budget(str(Budget(text))) == Budget(text)
