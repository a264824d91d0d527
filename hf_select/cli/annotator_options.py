"""The flags that say who writes instructions, and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.annotate.annotator import Annotator
    from hf_select.annotate.cost import Rates
    from hf_select.annotate.prompts import Prompts
    from hf_select.pool.view import PoolView

ANNOTATORS = ("endpoint", "local", "column")


@dataclass(frozen=True, kw_only=True)
class AnnotatorOptions:
    """Shared by `hf-select annotate` and `hf-select run presel`."""

    annotator: str = option(
        choices=ANNOTATORS,
        help="who writes instructions: a chat endpoint, a local model, or the pool's own, hidden until asked for",
    )
    annotator_model: str | None = option(None, help="model of the endpoint, or Hub id or folder of the local model")
    annotator_revision: str | None = option(None, help="revision of the local model")
    annotator_url: str | None = option(
        None, help="server of the endpoint; its key is read from HF_SELECT_ANNOTATOR_KEY; default Inference Providers"
    )
    annotator_provider: str | None = option(None, help="an Inference Provider; default the first of your order")
    annotator_concurrency: int = option(8, help="most requests under way, or pictures in a batch of the local model")
    annotator_max_tokens: int = option(512, help="longest answer in tokens")
    annotator_max_side: int | None = option(None, help="longest side in pixels of a picture that an endpoint is sent")
    annotator_timeout: float = option(120.0, help="seconds for one request")
    prompts: Path | None = option(None, help="YAML file with your own prompts by kind, and kinds by task")
    price_in: float = option(0.0, help="price of a million tokens read")
    price_out: float = option(0.0, help="price of a million tokens written")
    max_cost: float | None = option(None, help="ask for nothing more when the answers have cost so much")

    def made_annotator(self, view: PoolView, device: str | None) -> Annotator:
        """Return the annotator these flags ask for; `view` shows the pool's own instructions."""
        from hf_select.annotate.column import ColumnAnnotator
        from hf_select.annotate.endpoint import EndpointAnnotator
        from hf_select.annotate.local import LocalAnnotator

        if self.annotator == "column":
            return ColumnAnnotator(view=view)
        if self.annotator_model is None:
            raise UsageError(
                f"--annotator {self.annotator} needs --annotator-model: the name of the model that writes."
            )
        if self.annotator == "local":
            return LocalAnnotator(
                model=self.annotator_model,
                revision=self.annotator_revision,
                device=device,
                batch_size=self.annotator_concurrency,
                max_tokens=self.annotator_max_tokens,
            )
        return EndpointAnnotator(
            model=self.annotator_model,
            base_url=self.annotator_url,
            provider=self.annotator_provider,
            max_tokens=self.annotator_max_tokens,
            max_side=self.annotator_max_side,
            timeout=self.annotator_timeout,
            concurrency=self.annotator_concurrency,
        )

    def made_prompts(self) -> Prompts:
        """Return the prompts these flags ask for."""
        from hf_select.annotate.prompts import Prompts

        return Prompts() if self.prompts is None else Prompts.load(self.prompts)

    def rates(self) -> Rates:
        """Return the prices these flags give."""
        from hf_select.annotate.cost import Rates

        if self.max_cost is not None and self.price_in == self.price_out == 0:
            raise UsageError("--max-cost needs --price-in and --price-out: without prices nothing costs anything.")
        return Rates(self.price_in, self.price_out)
