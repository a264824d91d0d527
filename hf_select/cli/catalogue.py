"""What `hf-select ls` lists and `hf-select show` explains, read from the source so that nothing has to be imported."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hf_select.errors import UnknownName
from hf_select.evaluation.suite import load_suite, suite_names
from hf_select.recipes.catalogue import RECIPES

CLASSES: dict[str, dict[str, str]] = {
    "scorers": {
        "AnswerLength": "hf_select.scoring.answer_length",
        "AnswerLoss": "hf_select.scoring.answer_loss",
        "InstructionRelevance": "hf_select.scoring.instruction_relevance",
        "ImageHash": "hf_select.scoring.image_hash",
        "PairSimilarity": "hf_select.scoring.pair_similarity",
        "QuestionText": "hf_select.scoring.question_text",
        "TokenCount": "hf_select.scoring.token_count",
        "TokenStats": "hf_select.scoring.token_stats",
        "RowFacts": "hf_select.scoring.row_facts",
    },
    "embedders": {
        "HiddenEmbedding": "hf_select.embedding.hidden",
        "ImageEmbedding": "hf_select.embedding.image",
        "TextEmbedding": "hf_select.embedding.text",
    },
    "samplers": {
        "Top": "hf_select.sampling.ranked",
        "Middle": "hf_select.sampling.ranked",
        "Bottom": "hf_select.sampling.ranked",
        "Uniform": "hf_select.sampling.uniform",
        "GroupedSampler": "hf_select.sampling.grouped",
        "CentralitySampler": "hf_select.sampling.centrality",
        "CorrelationSampler": "hf_select.sampling.correlation",
        "FarthestPointSampler": "hf_select.sampling.farthest_point",
        "GreedyMMDSampler": "hf_select.sampling.greedy_mmd",
        "LeverageSampler": "hf_select.sampling.leverage",
        "MessagePassingSampler": "hf_select.sampling.message_passing",
        "PrototypeSampler": "hf_select.sampling.prototypes",
        "SemDeDupSampler": "hf_select.sampling.semdedup",
        "TypicalitySampler": "hf_select.sampling.typicality",
    },
}
"""Kind -> class -> module. A new scorer, embedder or sampler adds its line here; recipes are in their own catalogue."""

KINDS = (*CLASSES, "recipes", "suites")


@dataclass(frozen=True)
class Entry:
    """One thing with a name: a class of this package, or a suite file.

    Attributes:
        kind: One of `KINDS`.
        name: The class, or the suite as typed.
        module: The module that defines the class, or "" for a suite.
        typed: What `hf-select run` calls a recipe, "" for everything else.
    """

    kind: str
    name: str
    module: str = ""
    typed: str = ""

    @cached_property
    def _class(self) -> ast.ClassDef:
        spec = importlib.util.find_spec(self.module)
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == self.name)

    @property
    def text(self) -> str:
        """The docstring of the class, or what a suite measures and where its documents come from."""
        if not self.module:
            return load_suite(self.name).render()
        return ast.get_docstring(self._class) or ""

    @property
    def line(self) -> str:
        """One line: the docstring's first, or the suite's `description`."""
        return self.text.split("\n")[0]

    @property
    def settings(self) -> list[str]:
        """The fields that the class itself declares, as `name: type = default`."""
        if not self.module:
            return []
        fields = [node for node in self._class.body if isinstance(node, ast.AnnAssign)]
        return [ast.unparse(node) for node in fields if "ClassVar" not in ast.unparse(node.annotation)]


def entries(kind: str | None = None) -> list[Entry]:
    """Return everything, or everything of one kind, in the order of the catalogue."""
    found = [Entry(of, name, module) for of, classes in CLASSES.items() for name, module in classes.items()]
    for typed, place in RECIPES.items():
        module, _, name = place.rpartition(".")
        found.append(Entry("recipes", name, f"hf_select.recipes.{module}", typed))
    found += [Entry("suites", name) for name in suite_names()]
    return [entry for entry in found if kind in (None, entry.kind)]


def entry(name: str) -> Entry:
    """Return the entry called `name`, or raise `UnknownName`.

    A recipe goes by its class and by what `hf-select run` calls it, but for "presel", which is a suite.
    """
    found = {item.typed: item for item in entries("recipes")} | {item.name: item for item in entries()}
    if name not in found:
        raise UnknownName("name", name, found)
    return found[name]
