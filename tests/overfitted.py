"""A tiny LLaVA taught by heart: one answer for each kind of question, so that its scores can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tiny
from tiny_text import VICUNA, template

from hf_select.pool.row import Message, Part, Row

SPACED = template(VICUNA, marks=False).replace("ASSISTANT:{% endif %}", "ASSISTANT: {% endif %}")
"""With the blank before an answer in the prompt: this tokenizer makes it a token of its own, which carries no loss."""


def llava(folder: Path, rows: Sequence[tuple[Row, str]], *, steps: int = 60) -> Path:
    """Train the tiny LLaVA until it answers each row with its text, and save it to `folder`."""
    import torch

    from hf_select.scoring.encode import ChatEncoder
    from hf_select.scoring.model import load_vlm

    model, processor = load_vlm(str(tiny.llava(folder, chat_template=SPACED)), dtype="float32", device="cpu")
    encoder = ChatEncoder(processor)
    answered = [Row((*row.messages, Message("assistant", (Part(text),))), row.images) for row, text in rows]
    batch = encoder.collate([encoder.encode(row) for row in answered])
    torch.manual_seed(0)
    trained = [p for name, p in model.named_parameters() if "vision_tower" not in name]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    model.train()
    for _ in range(steps):
        loss = model(**batch).loss
        if loss < 0.002:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    return folder


def answering(folder: Path, tasks: Mapping[str, str], root: Path) -> Path:
    """The same for benchmark tasks: every question of a task gets the task's one text, prompts as lmms-eval asks them.

    Args:
        folder: Where the model is saved.
        tasks: Task -> the answer.
        root: A data root with the tasks' data, see `benchmark_data.write`.
    """
    from hf_select.evaluation.data import documents
    from hf_select.evaluation.requests import row_of_messages
    from hf_select.evaluation.suite import load_benchmarks
    from hf_select.evaluation.tasks import build_task

    rows = []
    for name, text in tasks.items():
        task = build_task(documents(load_benchmarks()[name], data_root=root))
        rows += [(row_of_messages(task.doc_to_messages(doc), name, 0), text) for doc in task.test_docs()]
    return llava(folder, rows)
