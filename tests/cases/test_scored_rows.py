"""Cases that go from a row of a public schema to its labels, losses and vectors."""

import base64
import json

import numpy as np
import pictures
import pytest
import tiny
from chat_rows import BLUE, RED, llava, one, read
from dialogues import chat

from hf_select.embedding.image import ImageEmbedding
from hf_select.pool.images import RowImage
from hf_select.sampling.centrality import CentralitySampler
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.contexts import prompt_of
from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.model import load_processor
from hf_select.scoring.run import score_columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def root(tmp_path):
    return pictures.write(tmp_path)


def means(identity):
    """Vectors of three numbers, the means of a picture's channels."""
    import torch

    class Means(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, pixels):
            return pixels.mean((2, 3)) * self.scale

    def pixels(image):
        return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)

    return ImageEmbedding.of(Means(), pixels, identity=identity, dim=3)


def test_sch_23_without_the_question_both_parts_are_gone():
    picture = base64.b64encode(pictures.PICTURES["red8x6.png"]()).decode()
    row = one({"instruction": "Answer.", "inputs": "Colour?", "image_base64_str": [picture], "outputs": "Red."})
    prompt = prompt_of(row, "no_question")
    assert ["".join(part.text or "" for part in message.parts) for message in prompt.messages] == ["", "Red."]
    assert len(prompt.images) == 1


def test_sch_30_a_call_carries_loss_and_what_the_tool_said_does_not(folder, root):
    call, said = '{"name":"w"}', '{"t":20}'
    turns = [
        ("human", "<image>\nWeather here?"),
        ("function_call", call),
        ("observation", said),
        ("gpt", "20 degrees."),
    ]
    encoded = ChatEncoder(load_processor(folder)).encode(one(llava(*turns, image=RED), root))
    assert [encoded.text[slice(*span)] for span in encoded.answers] == [call, "20 degrees."]
    assert said in encoded.text


def test_txt_06_a_placeholder_as_a_word_costs_at_most_its_own_row(folder):
    rows = read(
        [
            llava(("human", "What does the <image> tag do in SVG?"), ("gpt", "It embeds a picture.")),
            llava(("human", "Say hi."), ("gpt", "Hi.")),
        ]
    )
    assert rows[0].text_only
    for micro_batch in (None, 4):
        found = AnswerLoss(model=folder, micro_batch=micro_batch).score(rows)
        assert found["loss_status"] == ["template", "ok"]
        assert found["loss_full"][0] is None and "<image>" in found["loss_reason"][0]
        assert found["loss_full"][1] > 0


def test_img_13_seven_vectors_of_eight_and_none_shifted():
    files = [pictures.plain((at * 30, 0, 255 - at * 30)) for at in range(8)]
    files[4] = pictures.PICTURES["truncated.jpg"]()
    found = means("img 13").score([chat((RowImage.of(file), "?"), "!") for file in files])
    assert found["embedding_status"] == ["ok"] * 4 + ["image_unreadable"] + ["ok"] * 3
    for at, vector in enumerate(found["embedding"]):
        if at == 4:
            assert vector is None
        else:
            wanted = np.array([at * 30, 0, 255 - at * 30])
            assert vector == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)


def test_sch_02_rows_without_a_picture_are_counted_and_never_chosen_by_picture(root):
    from hf_select.pool.read import read_pool

    records = [
        llava(("human", "<image>\nName the colour."), ("gpt", "Red."), id="k-1", image=RED),
        llava(("human", "<image>\nName the colour."), ("gpt", "Blue."), id="k-2", image=BLUE),
        llava(("human", "Give a synonym of quick."), ("gpt", "Fast."), id="wQ3_0", model=""),
    ]
    (root / "pool.json").write_text(json.dumps(records))
    scored = score_columns(read_pool(str(root / "pool.json")), means("sch 02"), cache_dir=root / "scores")
    assert scored["embedding_status"][:] == ["ok", "ok", "no_image"]
    chosen = CentralitySampler().select(scored.with_format("arrow")[:], 3)
    assert sorted(chosen.keys) == sorted(scored["row_key"][:2])
    assert sum(chosen.rejected.values()) == 1
    assert any("1 short" in note for note in chosen.notes)
