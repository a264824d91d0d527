"""Any vision-language model with a chat template as a model of lmms-eval.

`lmms-eval --model hf_select --model_args pretrained=<folder or Hub id>` finds the classes by the entry point; our own
runs pass an instance. `HFSelectChat` serves tasks with messages, `HFSelectSimple` those without and those that compare
likelihoods. Both are made when they are first asked for, since their base class is lmms-eval's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self

from hf_select.errors import HFSelectError, UnknownName, UsageError, require
from hf_select.evaluation.requests import Asked, Decoding, document, row_of_messages, row_of_text

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest
    from transformers import PreTrainedModel, ProcessorMixin

MAX_NEW_TOKENS = 128
"""Of an answer whose task names no limit."""

ARGUMENTS = (
    "pretrained",
    "revision",
    "adapter",
    "dtype",
    "device",
    "batch_size",
    "max_new_tokens",
    "trust_remote_code",
)
NAMES = {"HFSelectChat": False, "HFSelectSimple": True}
"""Class -> its `is_simple`."""


class Journal(Protocol):
    """Keeps answers between runs; the texts are as the model gave them, before `Decoding.cut`."""

    def find(self, asked: Asked) -> str | None:
        """Return the answer that was kept, or None."""

    def keep(self, asked: Sequence[Asked], answers: Sequence[str]) -> None:
        """Keep the answers of one batch."""


class Adapter:
    """What both classes do.

    Args:
        pretrained: Hub id or local folder of the model, or of a peft adapter.
        revision: Branch, tag or commit of a Hub model.
        adapter: Hub id or folder of a peft adapter to merge in.
        dtype: "auto", "float32" or "bfloat16".
        device: Where to run; None for the best there is, and the process's own GPU under accelerate.
        batch_size: Questions in one call of `generate`; halved when memory runs out. Answers don't depend on it, but
            for rounding in half precision.
        max_new_tokens: Longest answer where a task names no limit.
        trust_remote_code: Whether code of the checkpoint may run.
        **unknown: Refused.

    Raises:
        UsageError: An argument or the checkpoint can't be used.
    """

    is_simple: bool
    task_dict: dict[str, Any]

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | str = 1,
        max_new_tokens: int = MAX_NEW_TOKENS,
        trust_remote_code: bool = False,
        **unknown: Any,
    ) -> None:
        unknown.pop("max_batch_size", None)  # lmms-eval's own command line always gives one
        for name in unknown:
            raise UnknownName("argument of the model hf_select", name, ARGUMENTS)
        from hf_select.scoring.model import load_vlm

        commit = None if revision is None else str(revision)
        model, processor = load_vlm(
            str(pretrained), commit, adapter, dtype, own_device(device), trust_remote_code=bool(trust_remote_code)
        )
        self._take(model, processor, batch_size, max_new_tokens, None)
        self._owned = True

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        *,
        batch_size: int = 1,
        max_new_tokens: int = MAX_NEW_TOKENS,
        journal: Journal | None = None,
    ) -> Self:
        """Answer with a model that is in memory; it stays there after the run, so that one load serves many tasks.

        Args:
            model: In evaluation mode, on its device.
            processor: Its processor, with a chat template.
            batch_size: As for the class.
            max_new_tokens: As for the class.
            journal: Where answers are looked up and kept.
        """
        made = cls.__new__(cls)
        made._take(model, processor, batch_size, max_new_tokens, journal)
        made._owned = False
        return made

    def _take(
        self, model: Any, processor: Any, batch_size: int | str, max_new_tokens: int, journal: Journal | None
    ) -> None:
        super().__init__()
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise UsageError(f"batch_size={batch_size}: give a whole number of at least 1.")
        if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise UsageError(f"max_new_tokens={max_new_tokens}: give a whole number of at least 1.")
        from hf_select.scoring.model import context_window

        self.vlm, self.processor = model, processor
        self.device = model.device
        self.batch_size = int(batch_size)
        self._default_tokens = max_new_tokens
        self._window = context_window(model, processor.tokenizer)
        self._journal = journal

    def clean(self) -> None:
        """Free the model if it was loaded here; lmms-eval calls this as soon as all answers are there."""
        if not self._owned:
            return
        import torch

        self.vlm = self.processor = None
        torch.cuda.empty_cache()

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer requests of any tasks; those that share their decoding are answered in batches, in order.

        Raises:
            HFSelectError: A document can't be read or asked, or doesn't fit in memory alone. Errors of the model are
                passed on; no answer is ever left out or made up.
        """
        from hf_select.scoring.progress import rows_bar

        groups: dict[Decoding, list[int]] = {}
        for number, request in enumerate(requests):
            settings = request.args[1] if self.is_simple else request.args[2]
            decoding = Decoding.of(settings or {}, default=self._default_tokens, most=self._window)
            groups.setdefault(decoding, []).append(number)
        answers: dict[int, str] = {}
        with rows_bar("answers", total=len(requests), show=None if self._rank == 0 else False) as moved:
            for decoding, numbers in groups.items():
                waiting: dict[int, Asked] = {}
                for number in numbers:
                    asked = self._asked(requests[number].args, decoding)
                    known = self._journal.find(asked) if self._journal is not None else None
                    if known is None:
                        waiting[number] = asked
                    else:
                        answers[number] = known
                        moved(1)
                    if len(waiting) == self.batch_size:
                        answers |= self._answered(waiting)
                        moved(len(waiting))
                        waiting = {}
                if waiting:
                    answers |= self._answered(waiting)
                    moved(len(waiting))
                answers |= {number: decoding.cut(answers[number]) for number in numbers}
        return [answers[number] for number in range(len(requests))]

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """Return (mean negative log-likelihood, is greedy) of each continuation as the assistant's answer.

        The mean over the answer's tokens and its end-of-turn token, in nats: `loss_full / tokens_full` of `AnswerLoss`
        on the same text. lmms-eval takes the smallest of the choices, so this is no log-probability. One forward each.

        Raises:
            HFSelectError: An answer's tokens can't be told apart, or the row doesn't fit in the window.
        """
        from lmms_eval.api.instance import GenerationResult

        from hf_select.scoring.encode import ChatEncoder, RowProblem
        from hf_select.scoring.losses import evaluating, features_once

        encoder = ChatEncoder(self.processor, self._window)
        results = []
        with evaluating(self.vlm), features_once(self.vlm):
            for request in requests:
                context, continuation, to_visual, doc_id, task, split = request.args
                found = document(self.task_dict, task, split, doc_id)
                text = str(continuation(found)) if callable(continuation) else str(continuation)
                row = row_of_text(to_visual(found), context, task, doc_id, text.strip())
                try:
                    encoded = encoder.encode(row)
                except RowProblem as problem:
                    raise HFSelectError(f"document {doc_id} of {task} can't be judged: {problem.reason}") from problem
                # 0.7.3 turns every other tuple into a text on the way to the task.
                results.append(GenerationResult(text=self._judged(encoder.collate([encoded]))))
        return results

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not served.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{requests[0].args[-2]} asks in several rounds, which the model hf_select doesn't serve.")

    def _asked(self, args: tuple[Any, ...], decoding: Decoding) -> Asked:
        doc_id, task, split = args[3:6]
        found = document(self.task_dict, task, split, doc_id)
        if self.is_simple:
            row = row_of_text(args[2](found), args[0], task, doc_id)
        else:
            row = row_of_messages(args[1](found), task, doc_id)
        return Asked(task, doc_id, row, decoding)

    def _answered(self, waiting: dict[int, Asked]) -> dict[int, str]:
        from hf_select.scoring.generate import generate_answers

        asked = list(waiting.values())
        decoding = asked[0].decoding
        answers = generate_answers(
            self.vlm,
            self.processor,
            [one.row for one in asked],
            batch_size=self.batch_size,
            max_new_tokens=decoding.max_new_tokens,
            decoding=decoding.options,
        )
        if self._journal is not None:
            self._journal.keep(asked, answers)
        return dict(zip(waiting, answers, strict=True))

    def _judged(self, batch: dict[str, Any]) -> tuple[float, bool]:
        from hf_select.scoring.losses import answer_logits, summed_nll

        dtype = self.vlm.dtype
        placed = {k: v.to(self.device, dtype if v.is_floating_point() else v.dtype) for k, v in batch.items()}
        logits, targets = answer_logits(self.vlm, placed)
        sums, counts = summed_nll(logits, targets)
        return float(sums[0] / counts[0]), bool((logits.argmax(-1) == targets).all())


def own_device(device: str | None) -> str | None:
    """Return the device of this process: under accelerate on GPUs each process has one of its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or device not in (None, "cuda"):
        return device
    torch = require("torch", "models")
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else device


def manifest() -> ModelManifest:
    """What the entry point `lmms_eval.models` gives: where the two classes are."""
    from lmms_eval.models.registry_v2 import ModelManifest

    chat, simple = (f"{__name__}.{name}" for name in NAMES)
    return ModelManifest("hf_select", simple_class_path=simple, chat_class_path=chat)


@cache
def _class(name: str) -> type:
    model = require("lmms_eval.api.model", "eval")
    made = type(name, (Adapter, model.lmms), {"is_simple": NAMES[name], "__doc__": Adapter.__doc__})
    made.__module__ = __name__
    return made


def __getattr__(name: str) -> type:
    if name in NAMES:
        return _class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
