"""One vector a row from what a vision-language model makes of it: hidden states at its end, its picture or its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from hf_select.embedding.columns import Storage, vector_columns, vector_results
from hf_select.embedding.dims import declared_dim
from hf_select.embedding.hidden_states import PARTS, TAPS, Part, Tap
from hf_select.errors import UnknownName, UsageError
from hf_select.scoring import memory
from hf_select.scoring.answer_scorer import AnswerScorer
from hf_select.scoring.model import Dtype, base_and_adapter
from hf_select.scoring.scorer import runtime
from hf_select.scoring.weights import commit_to_load

if TYPE_CHECKING:
    from hf_select.embedding.hidden_engine import HiddenEngine
    from hf_select.pool.row import Row

_COINCIDE = tuple(at / 6 for at in range(1, 6))
_SHALLOW = 0.125


@dataclass(frozen=True, kw_only=True)
class HiddenEmbedding(AnswerScorer):
    """One vector a row: hidden states of a vision-language model for its whole conversation, pooled over places.

    For every part p (a set of places of the row) and layer l, h(p, l) is the mean of the states of l over p; the
    vector is [h(p1, l1), h(p1, l2), ... | h(p2, l1), ...], all layers of one part side by side. Parts:

    - "last": the last token, which is the end of the last answer;
    - "vision": the image tokens, all pictures and tiles of the row together;
    - "text": all other tokens, the template's and a system text included;
    - "attended": the image tokens that hold 90 % of the attention which the first layer pays to image tokens from all
      text that isn't an answer (the template's included), averaged over heads; the token that reaches 90 % counts.

    Layers are numbered as in transformers' `hidden_states`: 0 for the input of the first layer, k for the output of
    layer k, -1 for the last one, behind the final norm. Shares such as 0.5 stand for that share of the depth. Made for:

    - `last`: SemDeDup, Self-Sup, D2, DICS (column `last_hidden`);
    - `coincide`: COINCIDE (arXiv 2406.10995; `coincide_hidden`): what attention adds (o_proj) in five layers, at 1/6 to
      5/6 of the depth (the paper's 4, 8, 12, 16, 20 of 24), "vision" and "text", tanh, unit length each, divided by
      the square root of 10. The paper's text begins behind a prompt that all rows share, ours with it;
    - `shallow`: PRISM (arXiv 2502.12119; `shallow_hidden`): "vision" at an eighth of the depth (the paper's layer isn't
      stated);
    - `attended`: ScalSelect (arXiv 2602.11636; `attended_hidden`): "attended" behind layer 1.

    Columns, each with `prefix` in front: `hidden`, a fixed-size list of `storage` numbers (null where the status isn't
    "ok"), `hidden_status` and `hidden_reason`. Statuses beside those of the row and its pictures: "no_image" (a row
    without a picture where a part needs one), "template", "no_supervised_tokens", "truncated" and "too_long" (as
    `AnswerLoss`: nothing is ever cut to fit the window), "zero_vector", "non_finite", "out_of_memory".

    Cost: one forward a row, which ends at the last layer that is asked for, and never computes logits. "attended" needs
    the weights of attention, heads x length^2 numbers a row. In float32 a vector is the same within 1e-5 of its length
    in any batch, order or neighbourhood.

    Attributes:
        model: Hub id or local folder of any image-text-to-text model with a chat template, or of a peft adapter.
        revision: Branch, tag or commit of a Hub model.
        adapter: Hub id or folder of a peft adapter to merge in.
        layers: Numbers of layers, or shares of the depth in (0, 1), each once.
        parts: Of "last", "vision", "text", "attended", each once.
        tap: "hidden" for the states between layers, "o_proj" for what a layer's self-attention adds to them.
        squash: "tanh" for each number, before unit length; None to leave it.
        normalize: Whether each h(p, l) gets unit L2 norm, and the whole too, by the square root of how many they are.
        max_length: The window in tokens; None for the model's own, which it never exceeds.
        storage: "float32", or "float16" for half the size and three digits.
        prefix: Put before every column's name.
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32" or "bfloat16".
        trust_remote_code: Whether code of the checkpoint may run.
        device: Where to run; None for the best there is. Not part of the identity.
        micro_batch: Most rows of one forward; None to choose. Not part of the identity.
        token_budget: Most padded tokens of one forward; None to choose. Not part of the identity.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None
    layers: tuple[int | float, ...] = (-1,)
    parts: tuple[Part, ...] = ("last",)
    tap: Tap = "hidden"
    squash: Literal["tanh"] | None = None
    normalize: bool = False
    max_length: int | None = None
    storage: Storage = "float32"
    prefix: str = ""
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)
    token_budget: int | None = runtime(None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "parts", tuple(self.parts))
        for given, allowed, what in (
            *((part, PARTS, "part") for part in self.parts),
            (self.tap, TAPS, "tap"),
            (self.squash or "tanh", ("tanh",), "squash"),
        ):
            if given not in allowed:
                raise UnknownName(what, given, allowed)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise UsageError(f"parts={self.parts!r}: give one or more of {', '.join(PARTS)}, each once.")
        if not self.layers or len(set(self.layers)) < len(self.layers) or not all(map(self._allows, self.layers)):
            least = "1" if self.tap == "o_proj" else "0"
            raise UsageError(
                f"layers={self.layers!r}: give whole numbers from {least} up, or from -1 down to count from the end, or"
                " shares of the depth between 0 and 1, each once."
            )
        super().__post_init__()

    @classmethod
    def last(cls, *, prefix: str = "last_", **config: Any) -> Self:
        """The last layer's state at the last token, as it is."""
        return cls(prefix=prefix, **config)

    @classmethod
    def coincide(cls, *, prefix: str = "coincide_", **config: Any) -> Self:
        """COINCIDE's vectors: the language part is the second half."""
        parts: tuple[Part, ...] = ("vision", "text")
        return cls(prefix=prefix, layers=_COINCIDE, parts=parts, tap="o_proj", squash="tanh", normalize=True, **config)

    @classmethod
    def shallow(cls, *, prefix: str = "shallow_", layer: float = _SHALLOW, **config: Any) -> Self:
        """The mean state of the image tokens in an early layer, as PRISM takes it."""
        return cls(prefix=prefix, layers=(layer,), parts=("vision",), **config)

    @classmethod
    def attended(cls, *, prefix: str = "attended_", **config: Any) -> Self:
        """The mean state, behind the first layer, of the image tokens that the user's text attends to: ScalSelect's."""
        return cls(prefix=prefix, layers=(1,), parts=("attended",), **config)

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types; reads the checkpoint's config.json at most."""
        dim = self.resolved["dim"] * len(self.layers) * len(self.parts)
        return vector_columns(f"{self.prefix}hidden", self.storage, dim)

    def extra_identity(self) -> dict[str, Any]:
        """The weights that the names stand for now, the model's width, and the dtype that "auto" means here."""
        if memory.is_remembered(self.model):
            model, _ = memory.recall(self.model)
            return {"dim": model.config.get_text_config().hidden_size}
        identity = super().extra_identity()
        base, _ = base_and_adapter(self.model, self.adapter)
        return identity | {"dim": declared_dim(base, commit_to_load(identity["weights"]), vision=False)}

    def load(self) -> HiddenEngine:
        """Load exactly the weights that were identified."""
        from hf_select.embedding.hidden_engine import HiddenEngine
        from hf_select.embedding.hidden_states import HiddenStates

        model, encoder = self.opened()
        states = HiddenStates(model, self.layers, self.parts, self.tap, self.model)
        squash = self.squash == "tanh"
        return HiddenEngine(states, encoder, squash, self.normalize, self.micro_batch, self.token_budget)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Embed rows; see the class for the columns."""
        return vector_results(f"{self.prefix}hidden", self.storage, self.loaded.embed(rows))

    def _allows(self, layer: float) -> bool:
        if isinstance(layer, bool) or not isinstance(layer, int | float):
            return False
        return 0 < layer < 1 if isinstance(layer, float) else layer != 0 or self.tap == "hidden"
