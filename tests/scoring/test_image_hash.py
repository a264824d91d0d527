"""Hashes of pictures and questions as columns of a pool."""

import json_pools
import pictures

from hf_select.pool.read import read_pool
from hf_select.scoring.image_hash import ImageHash
from hf_select.scoring.question_text import QuestionText
from hf_select.scoring.run import ScoreStats, score_columns

NOISE = "img/noise32.jpg"


def hashed(root, rows, **options):
    pool = read_pool(str(json_pools.write(root, "pool.jsonl", rows)))
    return score_columns(pool, ImageHash(), QuestionText(), cache_dir=root / "cache", **options)


def test_each_picture_has_its_hashes_and_a_broken_one_a_reason(tmp_path):
    pictures.write(tmp_path)
    rows = [
        json_pools.row(id="0", image=json_pools.RED),
        json_pools.row(id="1", image="img/red8x6_copy.png"),
        json_pools.row(id="2", image=NOISE),
        json_pools.row(id="3", image="img/truncated.jpg"),
        {"id": "4", "conversations": json_pools.turns("Colour of the sky?", "Blue.")},
    ]
    columns = hashed(tmp_path, rows).to_dict()
    files, pixels = columns["image_files"], columns["image_pixels"]
    assert files[0] != files[1] and pixels[0] == pixels[1]
    assert columns["image_shapes"][0] == [None] and len(columns["image_shapes"][2][0]) == 64
    assert [len(cell) for cell in columns["image_colours"][2]] == [192]
    assert (files[3], columns["image_shapes"][3], columns["image_hash_status"][3]) == (None, None, "image_unreadable")
    assert "truncated.jpg" in columns["image_hash_reason"][3]
    assert (files[4], columns["image_hash_status"][4]) == ([], "ok")
    assert columns["question_texts"][4] == ["Colour of the sky?"]


def test_a_second_call_computes_nothing(tmp_path):
    pictures.write(tmp_path, "noise32.jpg")
    rows = [json_pools.row(id=str(at), image=NOISE) for at in range(3)]
    first, stats = hashed(tmp_path, rows), ScoreStats()
    again = hashed(tmp_path, rows, stats=stats)
    assert again.to_dict() == first.to_dict()
    assert [part.computed for part in stats.scorers] == [0, 0, 0]
