"""Hidden states of a vision-language model, pooled over places of a row, from a forward that ends where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hf_select.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

Part = Literal["last", "vision", "text", "attended"]
PARTS = ("last", "vision", "text", "attended")
SEEING = frozenset({"vision", "attended"})
"""Parts that a row without a picture doesn't have."""

Tap = Literal["hidden", "o_proj"]
TAPS = ("hidden", "o_proj")

IGNORED = -100
_COVERED = 0.9
_IMAGE_TOKENS = ("image_token_id", "image_token_index")


class HiddenStates:
    """Taps layers of a model's decoder and pools what they give.

    States are numbered as in transformers' `hidden_states`: 0 is the input of the first layer, k the output of layer k,
    and the last one is taken behind the final norm. The forward stops at the last one that is asked for, so neither
    later layers nor the vocabulary's logits are computed.

    Args:
        model: Any image-text-to-text model of transformers, in evaluation mode whenever `pooled` is called.
        layers: Numbers of states, negative ones counted from the end, or shares in (0, 1) of the depth.
        parts: Which places are pooled, of `PARTS`.
        tap: "hidden" for the states, "o_proj" for what a layer's attention adds to them.
        name: What messages call the model.

    Raises:
        UsageError: If the model's layers, places of pictures or attention can't be found, or it has too few layers.
    """

    def __init__(
        self, model: PreTrainedModel, layers: Sequence[float], parts: Sequence[str], tap: str, name: str
    ) -> None:
        self.model = model
        self.parts = tuple(parts)
        self.name = name
        self._decoder, self._blocks = _decoder(model, name)
        self._taps = [_numbered(layer, len(self._blocks), name) for layer in layers]
        self._tap = tap
        self._outputs = [self._submodule(k, "self_attn.o_proj") for k in self._taps] if tap == "o_proj" else []
        self._attention = self._submodule(1, "self_attn") if "attended" in parts else None
        self.image_token = None if set(parts) == {"last"} else _image_token(model, bool(SEEING & set(parts)), name)

    def pooled(self, batch: Mapping[str, Tensor]) -> np.ndarray:
        """Return the mean state of each row, part and layer: float32 (rows, parts, layers, d).

        Args:
            batch: What `ChatEncoder.collate` gives, on the model's device. Every row has at least one place of each
                part, see `has`.
        """
        import torch

        inputs = {name: value for name, value in batch.items() if name != "labels"}
        states, attention = self._run(inputs)
        if states[0].shape[:2] != inputs["input_ids"].shape:
            raise UsageError(
                f"the layers of {self.name} give states of shape {tuple(states[0].shape)} for"
                f" {tuple(inputs['input_ids'].shape)} tokens: models that change the sequence on the way can't be read."
            )
        weights = [self._weights(part, inputs, batch["labels"], attention) for part in self.parts]
        pooled = [torch.stack([_mean(state, weight) for state in states], 1) for weight in weights]
        return torch.stack(pooled, 1).cpu().numpy()

    def has(self, input_ids: Tensor) -> bool:
        """Whether some token of a row stands for a part of a picture; (1, length) as the encoder gives it."""
        return bool((input_ids == self.image_token).any())

    def _run(self, inputs: dict[str, Any]) -> tuple[list[Tensor], Tensor | None]:
        """Return the state of each tap (rows, length, d), and the first layer's attention (rows, length, length)."""
        seen: dict[int, Tensor] = {}
        attention: list[Tensor] = []
        wanted = len(set(self._taps))

        def keep(number: int, state: Any) -> None:
            seen[number] = state[0] if isinstance(state, tuple) else state
            if len(seen) == wanted and (self._attention is None or attention):
                raise _Done

        def attend(_: Module, __: Any, out: Any) -> None:
            attention.append(self._of_heads(out))
            if len(seen) == wanted:
                raise _Done

        with ExitStack() as stack:
            if self._attention is not None:
                stack.enter_context(_attentions(self._decoder))
                stack.callback(self._attention.register_forward_hook(attend).remove)
            for handle in self._hooks(keep):
                stack.callback(handle.remove)
            try:
                self.model(**inputs, use_cache=False, return_dict=True)
            except _Done:
                return [seen[number] for number in self._taps], attention[0] if attention else None
        raise UsageError(f"the layers of {self.name} that were asked for are not on the way of its forward.")

    def _hooks(self, keep: Any) -> Iterator[Any]:
        if self._tap == "o_proj":
            for number, module in zip(self._taps, self._outputs, strict=True):
                yield module.register_forward_hook(lambda _, __, out, number=number: keep(number, out))
            return
        for number in self._taps:
            if number == 0:
                yield self._blocks[0].register_forward_pre_hook(
                    lambda _, args, kwargs: keep(0, args[0] if args else kwargs["hidden_states"]), with_kwargs=True
                )
            elif number == len(self._blocks):
                yield self._decoder.register_forward_hook(lambda _, __, out, number=number: keep(number, out[0]))
            else:
                block = self._blocks[number - 1]
                yield block.register_forward_hook(lambda _, __, out, number=number: keep(number, out))

    def _weights(self, part: str, inputs: dict[str, Any], labels: Tensor, attention: Tensor | None) -> Tensor:
        """Which places of each row are pooled: bool (rows, length)."""
        import torch

        there = inputs["attention_mask"].bool()
        if part == "last":
            last = there.sum(1) - 1
            return torch.arange(there.shape[1], device=there.device) == last[:, None]
        vision = (inputs["input_ids"] == self.image_token) & there
        if part == "vision":
            return vision
        text = there & ~vision
        return text if part == "text" else _attended(attention, text & (labels == IGNORED), vision)

    def _of_heads(self, out: Any) -> Tensor:
        weights = out[1] if isinstance(out, tuple) and len(out) > 1 else None
        if weights is None or weights.ndim != 4:
            raise UsageError(f'the first layer of {self.name} gives no attention weights, so "attended" can\'t be had.')
        return weights.float().mean(1)

    def _submodule(self, number: int, name: str) -> Module:
        try:
            return self._blocks[number - 1].get_submodule(name)
        except AttributeError as error:
            kind = type(self._blocks[number - 1]).__name__
            raise UsageError(f"layer {number} of {self.name} ({kind}) has no {name} to look at.") from error


class _Done(Exception):
    """All states are known: the rest of the forward isn't needed."""


@contextmanager
def _attentions(decoder: Any) -> Iterator[None]:
    """Inside, the decoder computes attention in the one way that also returns its weights."""
    before = decoder.config._attn_implementation
    decoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        decoder.set_attn_implementation(before)


def _decoder(model: PreTrainedModel, name: str) -> tuple[Any, Any]:
    """Return the module that runs the text model's layers, and the list of them."""
    import torch

    depth = model.config.get_text_config().num_hidden_layers
    for module in model.get_decoder().modules():
        for child in module.children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == depth:
                return module, child
    raise UsageError(f"the {depth} layers of the text model of {name} ({type(model).__name__}) can't be found.")


def _numbered(layer: float, depth: int, name: str) -> int:
    """Return the number of a state from 0 to `depth`."""
    if isinstance(layer, float):
        return max(1, round(layer * depth))
    number = layer + depth + 1 if layer < 0 else layer
    if not 0 <= number <= depth:
        raise UsageError(f"layer {layer} of {name}: its states are 0 to {depth}, or -1 to -{depth + 1} from the end.")
    return number


def _image_token(model: PreTrainedModel, seeing: bool, name: str) -> int:
    config = model.config.to_dict()
    token = next((config[key] for key in _IMAGE_TOKENS if config.get(key) is not None), None)
    beside = bool(config.get("text_config", {}).get("cross_attention_layers"))
    if token is None or (seeing and beside):
        why = "its pictures stand beside the text" if beside else "its config.json names no image token"
        raise UsageError(f'which states of {name} belong to pictures can\'t be told ({why}): use parts=("last",).')
    return int(token)


def _mean(state: Tensor, places: Tensor) -> Tensor:
    """Mean over the places of each row: (rows, d), float32."""
    # Not a product with zeros: what stands at other places may be infinite.
    kept = state.float().masked_fill(~places[..., None], 0.0)
    return kept.sum(1) / places.sum(1, keepdim=True)


def _attended(attention: Tensor, asking: Tensor, vision: Tensor) -> Tensor:
    """The vision places that hold 90 % of the attention of the asking places; the first one that reaches it counts.

    Args:
        attention: (rows, length, length), the mean over heads, rows of it summing to 1.
        asking: bool (rows, length).
        vision: bool (rows, length).
    """
    import torch

    places = torch.zeros_like(vision)
    for row in range(len(vision)):
        columns = vision[row].nonzero().flatten()
        # The mean over asking places differs from this sum by a factor, which the share of the total doesn't see.
        mass = attention[row][asking[row]][:, columns].double().sum(0)
        order = mass.argsort(descending=True, stable=True)
        reached = mass[order].cumsum(0)
        needed = int((reached < _COVERED * mass.sum()).sum()) + 1
        places[row, columns[order[:needed]]] = True
    return places
