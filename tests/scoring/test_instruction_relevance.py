"""IRS against a plain loop over the model's own logits, in both forms."""

import math
import pickle

import pytest
import tiny
import torch
from dialogues import chat, mixed_rows, picture

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.derive import derived
from hf_select.scoring.contexts import prompt_of
from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.instruction_relevance import InstructionRelevance, _ratio
from hf_select.scoring.model import load_vlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


def plain_mean_loss(model, encoder, row, context):
    """The mean of -ln p over the supervised tokens, one by one."""
    encoded = encoder.encode(row, context)
    with torch.no_grad():
        logits = model(**encoded.inputs).logits[0].double()
    losses = [
        -torch.log_softmax(logits[at - 1], dim=0)[token].item()
        for at, token in enumerate(encoded.labels[0].tolist())
        if token != -100
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("form", "without"), [("turns", "no_question"), ("joined", "joined_answers")])
def test_it_is_the_ratio_of_the_two_mean_losses(folder, form, without):
    model, processor = load_vlm(folder)
    encoder = ChatEncoder(processor)
    rows = mixed_rows()
    columns = InstructionRelevance(model=folder, form=form).score(rows)
    assert columns["irs_status"] == ["ok"] * len(rows)
    for row, found in zip(rows, columns["irs"], strict=True):
        wanted = plain_mean_loss(model, encoder, row, "full") / plain_mean_loss(model, encoder, row, without)
        assert found == pytest.approx(wanted, rel=1e-5)


def test_rows_of_one_turn_are_alike_in_both_forms_and_longer_ones_are_not(folder):
    single = chat((picture(), "What colour?"), "Red.")
    double = chat((picture(), "How many?"), "Two.", "What colour?", "Red.")
    turns, joined = (
        InstructionRelevance(model=folder, form=form).score([single, double]) for form in ("turns", "joined")
    )
    assert turns["irs"][0] == joined["irs"][0]
    assert turns["irs"][1] != pytest.approx(joined["irs"][1], rel=1e-4)
    assert prompt_of(double, "joined_answers").messages[-1].text == "Two. Red."


@pytest.mark.parametrize(("form", "kind"), [("turns", "irs"), ("joined", "irs_joined")])
def test_the_column_equals_what_is_derived_from_the_facts(folder, form, kind):
    import pyarrow as pa

    scorer = InstructionRelevance(model=folder, form=form, prefix="ref_")
    columns = scorer.score(mixed_rows())
    table = pa.table({name: pa.array(columns[name], getattr(pa, dtype)()) for name, dtype in scorer.adds.items()})
    assert derived(table, kind, "ref_").tolist() == pytest.approx(table["ref_irs"].to_pylist(), rel=1e-6)


def test_what_can_not_be_scored_has_a_status_and_no_number(folder):
    rows = [chat((picture(), "?"), " "), chat("Hi", "Hello."), chat("x", "y", status="image_missing", reason="gone")]
    columns = InstructionRelevance(model=folder).score(rows)
    assert columns["irs_status"] == ["no_supervised_tokens", "ok", "image_missing"]
    assert columns["irs"][0] is None and columns["irs"][2] is None
    assert columns["irs_reason"][2] == "gone"
    assert InstructionRelevance(model=folder).score([])["irs"] == []


def test_a_denominator_of_zero_or_beyond_all_numbers_is_a_status():
    assert _ratio(1.0, 2, 0.0, 2)[:2] == (None, "zero_denominator")
    assert _ratio(1.0, 2, math.inf, 2)[:2] == _ratio(1.0, 2, math.nan, 2)[:2] == (None, "non_finite")
    assert _ratio(3e38, 1, 1e-30, 1)[:2] == (None, "non_finite")
    assert _ratio(1.0, 2, 4.0, 2) == (0.25, "ok", "")


def test_the_form_is_part_of_the_identity_and_survives_a_pickle(folder):
    turns, joined = (InstructionRelevance(model=folder, form=form) for form in ("turns", "joined"))
    assert turns.identity() != joined.identity()
    assert pickle.loads(pickle.dumps(joined)) == joined


def test_a_model_in_memory_is_scored_too(folder):
    model, processor = load_vlm(folder)
    rows = mixed_rows()[:2]
    assert (
        InstructionRelevance.of(model, processor).score(rows)["irs"]
        == InstructionRelevance(model=folder).score(rows)["irs"]
    )


def test_bad_choices_are_refused(folder):
    with pytest.raises(UnknownName, match="turns"):
        InstructionRelevance(model=folder, form="turn")
    with pytest.raises(UsageError, match="leave contexts out"):
        InstructionRelevance(model=folder, contexts=("full", "no_image"))
