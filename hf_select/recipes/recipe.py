"""What all recipes share: which columns a method needs, what those cost, and a choice from one scored pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hf_select.errors import UsageError
from hf_select.pool.view import PoolView

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.sampling.budget import Budget
    from hf_select.sampling.sampler import Sampler
    from hf_select.sampling.selection import Selection
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a method costs beside training on what it chose.

    Attributes:
        forwards: Forward passes of the scoring model a row of the pool.
        encoders: Smaller encoders that see every row once: "image", "text", "dual".
        tuned: Share of the pool on which the scoring model is tuned first, one epoch; 0 for none.
        instructions: Whether the instructions of rows that are not chosen have to exist.
    """

    forwards: float = 0.0
    encoders: tuple[str, ...] = ()
    tuned: float = 0.0
    instructions: bool = True

    def render(self) -> str:
        """The cost in a few words."""
        passes = "pass" if self.forwards == 1 else "passes"
        parts = [f"{self.forwards:g} forward {passes} a row"] if self.forwards else []
        parts += [f"one pass of a {name} encoder" for name in self.encoders]
        parts += [f"a fit on {self.tuned:.0%} of the pool"] if self.tuned else []
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True, kw_only=True)
class Models:
    """Which checkpoints a recipe's columns are computed with; Hub ids or folders.

    Attributes:
        model: The vision-language model whose losses and hidden states are looked at.
        image_encoder: For image features.
        text_encoder: For text features.
        dual_encoder: For image-text similarity (CLIP, SigLIP).
        max_length: The window of `model` in tokens; None for its own.
        dtype: Precision of `model`: "auto", "float32" or "bfloat16".
        view: How rows are read.
        device: Where to run; None for the best there is.
    """

    model: str | None = None
    image_encoder: str = "facebook/dinov2-base"
    text_encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    dual_encoder: str = "openai/clip-vit-large-patch14"
    max_length: int | None = None
    dtype: str = "auto"
    view: PoolView = field(default_factory=PoolView)
    device: str | None = None

    def vlm(self, recipe: str) -> str:
        """The vision-language model, or an error that names the recipe that needs one."""
        if self.model is None:
            raise UsageError(f"{recipe} scores rows with a vision-language model: give its Hub id or folder.")
        return self.model

    def scoring(self, recipe: str) -> dict[str, Any]:
        """What every scorer by the vision-language model is given: model, window, precision, view and device."""
        return {
            "model": self.vlm(recipe),
            "max_length": self.max_length,
            "dtype": self.dtype,
            "view": self.view,
            "device": self.device,
        }


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A published selection method: which columns it needs, and a choice from them.

    Subclasses are frozen keyword-only dataclasses whose fields are the method's choices.

    Attributes:
        name: What users type.
        paper: Where the method comes from.
        cost: What it costs.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    cost: ClassVar[Cost]

    @abstractmethod
    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The scorers whose columns `select` reads beside `row_key`, `row_task` and `row_status`; none for some."""

    @abstractmethod
    def select(
        self,
        scored: Dataset | pa.Table,
        budget: Budget | str | int,
        *,
        seed: int = 0,
        include: Sequence[str] = (),
    ) -> Selection:
        """Choose rows.

        Args:
            scored: The pool's columns with those of `scorers`.
            budget: What may be kept, the included rows inside it.
            seed: Decides draws and the start of clustering.
            include: Addresses of rows that are chosen already (those that tuned the scoring model).
        """

    def describe(self) -> dict[str, Any]:
        """Return the method's entry of a recipe file: its name, its paper, and every choice."""
        return {"name": self.name, "paper": self.paper, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class SampledRecipe(Recipe):
    """A recipe whose whole choice is one sampler's. Its settings are checked when it is made."""

    def __post_init__(self) -> None:
        self.sampler()

    @abstractmethod
    def sampler(self) -> Sampler:
        """The decision, once the columns are there."""

    def select(
        self,
        scored: Dataset | pa.Table,
        budget: Budget | str | int,
        *,
        seed: int = 0,
        include: Sequence[str] = (),
    ) -> Selection:
        """Choose rows; see `Recipe.select`."""
        return self.sampler().select(scored, budget, seed=seed, include=include)
