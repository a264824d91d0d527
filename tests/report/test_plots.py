"""Plots: PNG files, the same for the same numbers, whatever names and numbers come."""

import io

import numpy as np
import pytest
from PIL import Image

from hf_select.report.plots import differences, score_histogram, task_shares

TASKS = [{"task": "a $x$ <b>|\n", "rows": 10, "picked": 3}, {"task": "z" * 200, "rows": 5, "picked": 0}]


def size(image):
    return Image.open(io.BytesIO(image)).size


@pytest.mark.parametrize(
    "scores", [np.arange(50.0), np.full(5, np.nan), np.array([1.0]), np.array([0.0] * 20 + [1e30]), np.zeros(0)]
)
def test_a_histogram_of_any_scores(scores):
    picked = np.zeros(len(scores), dtype=bool)
    one, again = (score_histogram(scores, picked, "loss $") for _ in range(2))
    assert one == again and min(size(one)) > 200


@pytest.mark.parametrize("tasks", [TASKS, [], TASKS * 60])
def test_task_shares_of_any_names(tasks):
    one, again = task_shares(tasks), task_shares(tasks)
    assert one == again and min(size(one)) > 100


def test_differences_with_and_without_intervals():
    tasks = [{"task": "a", "difference": 1.0, "low": 0.5, "high": 2.0}, {"task": "b", "difference": -3.0}]
    tasks[1] |= {"low": None, "high": None}
    assert min(size(differences(tasks, "mine_$x", "random"))) > 100
