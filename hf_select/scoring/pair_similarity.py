"""How alike a row's picture and text are to an encoder of both: CLIP-Score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hf_select.embedding.text import TEXTS, Text, text_of
from hf_select.embedding.vectors import Refused
from hf_select.errors import UnknownName, UsageError
from hf_select.pool.row import OK
from hf_select.scoring.model import Dtype, best_device, resolve_dtype
from hf_select.scoring.scorer import Scorer, runtime
from hf_select.scoring.weights import weights_identity

if TYPE_CHECKING:
    from hf_select.embedding.dual import DualTexts
    from hf_select.embedding.image_engine import ImageEngine
    from hf_select.pool.row import Row

_ON_CPU, _ELSEWHERE = 8, 64


class Sides(NamedTuple):
    """The two engines of a dual encoder; vectors of both have unit length."""

    images: ImageEngine
    texts: DualTexts


@dataclass(frozen=True, kw_only=True)
class PairSimilarity(Scorer):
    """The cosine of a row's picture and text under a dual encoder (CLIP-Score, arXiv 2104.08718, without its factor).

        clip_score = cos(mean over the row's pictures of E(I) / ||E(I)||, E(text))

    Published uses differ in the text: DICS takes the question, Self-Filter the conversation with "USER:" and
    "ASSISTANT:" in it, which are left out here. Texts longer than the encoder's window (77 tokens for CLIP, 64 for
    SigLIP) are cut, which `clip_truncated` says.

    Columns, each with `prefix` in front: `clip_score` float32, `clip_truncated` bool (the score is of the text's
    beginning; the status stays "ok"), `clip_status` and `clip_reason`. Statuses beside those of the row and its
    pictures: "no_image", "no_text" (nothing but blanks), "image_unprocessable", "zero_vector", "non_finite",
    "out_of_memory". Where one of several pictures can't be used, neither can the row.

    Cost: one forward of one side for each distinct picture and text; vectors asked for last (64 MB a side) are
    remembered. In float32 a score is the same within 1e-6 in any batch, order or neighbourhood.

    Attributes:
        model: Hub id or local folder of any dual encoder of transformers that has `get_image_features` and
            `get_text_features` (CLIP, SigLIP and their kin); those that need more than the pixel values of a picture
            (naflex) are refused.
        revision: Branch, tag or commit of a Hub model.
        text: "first_question", "questions", "answers" (each joined by line breaks), or "conversation": all that users
            and assistant say, in order.
        prefix: Put before every column's name.
        dtype: What the encoder computes in: "float32", "bfloat16", or "auto" (bfloat16 on CUDA).
        device: Where to run; None for the best there is. Not part of the identity.
        micro_batch: Most pictures or texts of one forward; None to choose. Not part of the identity.
    """

    model: str = "openai/clip-vit-large-patch14"
    revision: str | None = None
    text: Text = "questions"
    prefix: str = ""
    dtype: Dtype = "float32"
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)

    def __post_init__(self) -> None:
        if self.text not in TEXTS:
            raise UnknownName("text", self.text, TEXTS)
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UsageError(f"micro_batch={self.micro_batch}: give a whole number of at least 1, or None.")
        super().__post_init__()

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        types = {"score": "float32", "truncated": "bool", "status": "string", "reason": "string"}
        return {f"{self.prefix}clip_{name}": dtype for name, dtype in types.items()}

    def extra_identity(self) -> dict[str, Any]:
        """The weights that the name stands for now, and what "auto" means here."""
        return {
            "weights": weights_identity(self.model, self.revision),
            "dtype": resolve_dtype(self.dtype, self.device),
        }

    def load(self) -> Sides:
        """Load exactly the weights that were identified."""
        from hf_select.embedding.dual import DualImages, DualTexts, load_dual
        from hf_select.embedding.image_engine import ImageEngine

        device, commit = self.device or best_device(), self.resolved["weights"].get("commit")
        model, processor, tokenizer = load_dual(self.model, commit, self.resolved["dtype"], device)
        most = self.micro_batch or (_ON_CPU if device == "cpu" else _ELSEWHERE)
        encoder = DualImages(model, processor, "mean", -1, self.model)
        texts = DualTexts(model, tokenizer, "mean", True, None, most, self.model)
        return Sides(ImageEngine(encoder, True, most), texts)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Compare each row's pictures and text; see the class for the columns."""
        images = self.loaded.images.embed(rows)
        wanted = [
            image if isinstance(image, Refused) else text_of(row, self.text)
            for row, image in zip(rows, images, strict=True)
        ]
        texts = self.loaded.texts.embed(wanted)
        columns: dict[str, list] = {name: [] for name in self.adds}
        for image, text in zip(images, texts, strict=True):
            if isinstance(text, Refused):
                found = (None, None, text.status, text.reason)
            else:
                score = float(np.dot(image.astype(np.float64), text.vector.astype(np.float64)))
                found = (score, text.truncated, OK, "")
            for values, value in zip(columns.values(), found, strict=True):
                values.append(value)
        return columns
