"""One vector a row from its pictures: what clustering and neighbour search work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hf_select.embedding import held
from hf_select.embedding.columns import Storage, vector_columns, vector_results
from hf_select.embedding.dims import declared_dim
from hf_select.embedding.pooling import Pool, known_pool
from hf_select.errors import HFSelectError, UsageError
from hf_select.scoring.model import Dtype, best_device, resolve_dtype
from hf_select.scoring.scorer import Scorer, runtime
from hf_select.scoring.weights import weights_identity

if TYPE_CHECKING:
    from torch.nn import Module

    from hf_select.embedding.image_engine import ImageEngine
    from hf_select.embedding.vision import Process
    from hf_select.pool.row import Row

_ON_CPU, _ELSEWHERE = 8, 64


@dataclass(frozen=True, kw_only=True)
class ImageEmbedding(Scorer):
    """One vector a row: its picture as an image encoder sees it, pooled from one layer, with unit length.

    The defaults are PreSel's features (arXiv 2503.07591, its published code): DINOv2-base, the CLS token of
    `last_hidden_state` (after the final layer norm), L2-normalised, float32.

    Columns, each with `prefix` in front: `embedding`, a fixed-size list of `storage` numbers (null where the status
    isn't "ok"), `embedding_status` and `embedding_reason`. Statuses beside those of the row and its pictures:
    "no_image" (a row of text only), "image_unprocessable" (the image processor refuses it, or the encoder its shape),
    "zero_vector" (nothing to normalise), "non_finite", "out_of_memory".

    A row with several pictures gets the mean of their vectors (each of unit length with `normalize`), normalised again;
    where one of them can't be used, neither can the row. A picture that its processor cuts into tiles is the mean of
    its tiles. Rows that share a picture (by its bytes) share one forward; the last 64 MB of vectors are remembered.

    In float32 a vector is the same within 1e-6 in any batch, order or neighbourhood. Cost: one forward a distinct
    picture; files are read and decoded in up to 8 threads meanwhile.

    Attributes:
        model: Hub id or local folder of a vision encoder (DINOv2, ViT, CLIP, SigLIP, ...), or of a model that has one
            (CLIP whole, a vision-language model): of that its vision tower alone is loaded. Encoders that need more
            than pixel values of a picture (Qwen-VL's, naflex) are refused.
        revision: Branch, tag or commit of a Hub model.
        pool: "cls" for the first token, "mean" for the mean over the places of the picture, without CLS and registers.
        layer: -1 for the last hidden state after the final layer norm (for CLIP too, whose class leaves it out); -2,
            -3, ... for the hidden state that many from the end, as it is.
        normalize: Whether vectors get unit L2 norm.
        storage: "float32", or "float16" for half the size and three digits.
        prefix: Put before every column's name, so that vectors of several encoders fit in one table.
        dtype: What the encoder computes in: "float32", "bfloat16", or "auto" (bfloat16 on CUDA).
        device: Where to run; None for the best there is. Not part of the identity.
        micro_batch: Most pictures of one forward; None to choose. Not part of the identity.
    """

    model: str = "facebook/dinov2-base"
    revision: str | None = None
    pool: Pool = "cls"
    layer: int = -1
    normalize: bool = True
    storage: Storage = "float32"
    prefix: str = ""
    dtype: Dtype = "float32"
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)

    def __post_init__(self) -> None:
        known_pool(self.pool)
        if self.layer > -1:
            raise UsageError(f"layer={self.layer}: layers are counted from the end, give -1 for the last, -2, ...")
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UsageError(f"micro_batch={self.micro_batch}: give a whole number of at least 1, or None.")
        super().__post_init__()

    @classmethod
    def of(
        cls, module: Module, image_processor: Process, *, identity: str, dim: int | None = None, **config: Any
    ) -> Self:
        """Embed with a module that is already in memory, where it is and in its dtype; its mode is put back after use.

        Args:
            module: A vision model of transformers, or any module that takes a batch (n, ...) and returns (n, d) (then
                `pool` and `layer` change nothing), (n, tokens, d) or (n, d, height, width). Kept until the process
                ends.
            image_processor: Of transformers, or any function from an upright RGB Pillow image to one array or CPU
                tensor; called in several threads.
            identity: A text that stands for the module's weights and the processor: scores are cached under it, so
                give another one after training on.
            dim: Length of a vector; None to find out by one forward now.
            **config: Other fields of the scorer, without model, revision, dtype and device.

        Raises:
            UsageError: If a grey picture doesn't get through.
        """
        scorer = cls(model=held.given_name(identity), **config)
        if dim is None:
            from hf_select.embedding.vision import VisionEncoder

            dim = VisionEncoder(module, image_processor, scorer.pool, scorer.layer, identity).dim
        held.hold(identity, held.Held(module, image_processor, dim))
        return scorer

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types; reads the checkpoint's config.json at most."""
        return vector_columns(f"{self.prefix}embedding", self.storage, self.resolved["dim"])

    def extra_identity(self) -> dict[str, Any]:
        """The weights that the name stands for now, the length of its vectors, and what "auto" means here."""
        if held.is_held(self.model):
            return {"dim": held.recall(self.model).dim}
        weights = weights_identity(self.model, self.revision)
        return {
            "weights": weights,
            "dim": declared_dim(self.model, weights.get("commit"), vision=True),
            "dtype": resolve_dtype(self.dtype, self.device),
        }

    def load(self) -> ImageEngine:
        """Load exactly the weights that were identified."""
        from hf_select.embedding.image_engine import ImageEngine
        from hf_select.embedding.vision import VisionEncoder, load_vision

        if held.is_held(self.model):
            module, processor, _ = held.recall(self.model)
        else:
            commit = self.resolved["weights"].get("commit")
            module, processor = load_vision(self.model, commit, self.resolved["dtype"], self.device or best_device())
        encoder = VisionEncoder(module, processor, self.pool, self.layer, self.model)
        if encoder.dim != self.resolved["dim"]:
            raise HFSelectError(
                f"{self.model} gives vectors of {encoder.dim} numbers where {self.resolved['dim']} were announced: load"
                " it yourself and use ImageEmbedding.of without dim."
            )
        on_cpu = encoder.device == "cpu"
        return ImageEngine(encoder, self.normalize, self.micro_batch or (_ON_CPU if on_cpu else _ELSEWHERE))

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Embed rows; see the class for the columns."""
        return vector_results(f"{self.prefix}embedding", self.storage, self.loaded.embed(rows))
