"""Cases that end in the written subset: rows as they were, rows that are missing told, names that stay apart."""

import pictures
import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from json_pools import RED, row, turns, write

from hf_select.hub.subset import write_subset
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView, exact_values
from hf_select.recipes.tables import task_table
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.uniform import Uniform
from hf_select.scoring.run import score_columns

ABOUT = {
    "pool": "pool.json",
    "pool_revision": None,
    "method": {"name": "random", "paper": "a uniform draw"},
    "model": "",
    "budget": "all",
    "seed": 0,
}


@pytest.fixture
def root(tmp_path):
    return pictures.write(tmp_path / "pool")


def publishable(root, records, budget, sampler=None, **about):
    """Choose from a pool of `records` and write the subset; return its selection, folder and rows as they are read."""
    pool = read_pool(write(root, "pool.json", records))
    facts = score_columns(pool)
    picked = (sampler or Uniform()).select(facts, budget)
    tasks = task_table(facts.with_format("arrow")[:], picked, None)
    told = ABOUT | {"pool_rows": len(pool), "tasks": tasks} | about
    folder = write_subset(picked, pool, root.parent / "out", view=PoolView(), about=told)
    table = load_dataset(str(folder.path), split="train").with_format("arrow")[:]
    columns = {name: exact_values(table[name]) for name in table.column_names}
    return (
        picked,
        folder.path,
        [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)],
    )


def test_sch_32_extra_keys_of_one_turn_pass_through_selection_and_writing(root):
    second = {"from": "gpt", "value": "Restart it.", "text": "Different text.", "markdown": {"type": "m", "index": 1}}
    records = [
        {"id": "x1", "conversations": [{"from": "human", "value": "How do I clear error 1?"}, second]},
        {"id": "x2", "conversations": turns("Hi", "Hello.")},
    ]
    _, _, rows = publishable(root, records, 2)
    assert sorted(rows, key=lambda found: found["id"]) == records


def test_pub_10_and_txt_19_written_values_equal_the_source_values(root):
    conversations = turns("<image>\n Colour? ", "Red.\n")
    _, _, (found,) = publishable(root, [row(id="007", image=RED, conversations=conversations)], 1)
    assert found == {
        "id": "007",
        "image": {"bytes": (root / RED).read_bytes(), "path": "red8x6.png"},
        "conversations": conversations,
    }


def test_pub_09_two_unreadable_of_twenty_rows_are_told_not_lost(root):
    records = [
        row(id=str(at), image="img/zero.jpg" if at in (3, 11) else RED, conversations=turns(answer=f"Red {at}."))
        for at in range(20)
    ]
    picked, folder, rows = publishable(root, records, 20)
    assert {found["id"] for found in rows} == {str(at) for at in range(20)} - {"3", "11"}
    assert picked.rejected == {"image_unreadable": 2}
    card = (folder / "README.md").read_text()
    assert "- `image_unreadable`: 2" in card and "2 short" in card


def test_sch_20_names_of_tasks_stay_apart_on_the_card_and_in_its_yaml(root):
    tasks = ["ai(c,llava)", "ai/c+llava", "ai_c_llava", "yes: no"]
    records = [row(image=RED, data_source=task, conversations=turns(answer=f"A{task}")) for task in tasks]
    sampler = Uniform(stratify="row_task", allocation=Allocation("equal"))
    shares = {"name": "random", "paper": "a uniform draw", "shares": dict.fromkeys(tasks, 1)}
    picked, folder, rows = publishable(root, records, 4, sampler, method=shares)
    assert sorted(quota.group for quota in picked.quotas) == sorted(tasks)
    assert sorted(found["data_source"] for found in rows) == sorted(tasks)
    card = (folder / "README.md").read_text()
    assert all(f"\n| {task} | 1 | 1 | 1 |" in card for task in tasks)
    assert DatasetCard(card).data.to_dict()["hf_select"]["method"]["shares"] == dict.fromkeys(tasks, 1)
