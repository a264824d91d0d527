import logging
import math

import numpy as np
import pyarrow as pa
import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.derive import KINDS, derived, split_name


def facts(prefix="", **columns):
    table = {}
    for name, values in columns.items():
        kind = pa.string() if name.endswith("status") else pa.int32() if "tokens" in name else pa.float32()
        table[prefix + name] = pa.array(values, kind)
    return pa.table(table)


TABLE = facts(
    loss_full=[6.0, 2.0, None, 3.0, 8.0],
    tokens_full=[3, 4, None, 0, 4],
    loss_no_question=[3.0, 1.0, None, 1.0, 0.0],
    tokens_no_question=[3, 4, None, 1, 4],
    loss_no_image=[9.0, 1.0, None, 1.0, None],
    tokens_no_image=[3, 4, None, 1, None],
    loss_inverse=[3.0, 2.0, None, 1.0, 2.0],
    tokens_inverse=[2, 4, None, 1, 4],
    loss_inverse_no_answer=[4.0, 8.0, None, 1.0, 1.0],
    tokens_inverse_no_answer=[2, 4, None, 1, 4],
    loss_status=["ok", "ok", "too_long", "ok", "ok"],
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("loss", [2.0, 0.5, None, None, 2.0]),
        ("loss_sum", [6.0, 2.0, None, None, 8.0]),
        ("perplexity", [math.exp(2), math.exp(0.5), None, None, math.exp(2)]),
        ("ifd", [2.0, 2.0, None, None, None]),
        ("irs", [2.0, 2.0, None, None, None]),
        ("visual", [1.0, -0.25, None, None, None]),
        ("vic", [math.e, math.exp(-0.25), None, None, None]),
        ("ric", [math.exp(0.5), math.exp(1.5), None, 1.0, math.exp(-0.25)]),
        ("dic", [math.exp(0.5), math.exp(-0.25), None, None, None]),
    ],
)
def test_kinds(kind, values):
    got = derived(TABLE, kind)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, np.array([np.nan if v is None else v for v in values]), rtol=1e-15)


@pytest.mark.parametrize("kind", ["irs", "visual", "vic"])
def test_a_count_of_zero_is_no_number_in_whichever_context(kind):
    second = KINDS[kind][1]
    table = facts(loss_full=[1.0], tokens_full=[1], **{f"loss_{second}": [1.0], f"tokens_{second}": [0]})
    assert np.isnan(derived(table, kind)).all()


def test_a_status_that_is_not_ok_outweighs_a_number():
    table = facts(loss_full=[1.0, 2.0], tokens_full=[1, 1], loss_status=["ok", "truncated"])
    assert np.isnan(derived(table, "loss")).tolist() == [False, True]


def test_num_12_perplexity_is_float64_and_never_infinite(caplog):
    table = facts(loss_full=[12.0, 90.0, 710.0], tokens_full=[1, 1, 1])
    with caplog.at_level(logging.WARNING):
        got = derived(table, "perplexity")
    np.testing.assert_allclose(got[:2], [162754.79, 1.2204e39], rtol=1e-4)
    assert np.isnan(got[2]) and "1 rows" in caplog.text


@pytest.mark.parametrize("kind", ["vic", "ric", "dic"])
def test_contributions_beyond_float64_are_none_and_counted(kind, caplog):
    """Of "dic", only the smaller of the two powers must fit."""
    ones = {f"tokens_{context}": [1, 1] for context in KINDS["dic"]}
    table = facts(
        loss_full=[1.0, 1.0],
        loss_no_image=[800.0, 800.0],
        loss_inverse=[1.0, 0.0],
        loss_inverse_no_answer=[900.0, 700.0],
        **ones,
    )
    with caplog.at_level(logging.WARNING):
        got = derived(table, kind)
    lost = 2 if kind == "vic" else 1
    assert np.isnan(got).sum() == lost and np.isnan(got[0])
    assert f"the {kind} of {lost} rows is beyond float64" in caplog.text
    if kind == "dic":
        assert got[1] == pytest.approx(math.exp(700), rel=1e-12)


def test_prefix_and_names():
    table = facts(prefix="seed_", loss_full=[6.0], tokens_full=[3])
    assert derived(table, "loss", "seed_").tolist() == [2.0]
    names = ["seed_loss_full", "seed_tokens_full", "loss_full", "tokens_full"]
    assert split_name("seed_loss_sum", names) == ("seed_", "loss_sum")
    assert split_name("loss", names) == ("", "loss")
    assert split_name("seed_irs", names) is None
    assert split_name("my_score", names) is None


def test_what_is_missing_is_said():
    with pytest.raises(UsageError, match=r"'loss_no_question', 'tokens_no_question'.*AnswerLoss"):
        derived(facts(loss_full=[1.0], tokens_full=[1]), "irs")
    with pytest.raises(UnknownName, match="perplexity"):
        derived(TABLE, "perplexty")


def test_reads_a_dataset_as_it_reads_a_table():
    datasets = pytest.importorskip("datasets")
    pool = datasets.Dataset(TABLE).select([1, 0])
    assert derived(pool, "loss").tolist() == [0.5, 2.0]
