"""Scores are cached by identity, not by code: who changes what a scorer computes must say so.

Each scorer's functions are hashed without comments and docstrings. When the hash differs from the pin: if numbers
change, raise `scoring_version` of the scorer; then put the new hash (printed by the failing test) here.
"""

import ast
import hashlib
import inspect
import textwrap

import pytest

from hf_select.embedding import columns, image_engine, pooling, text, text_engine, vectors, vision
from hf_select.embedding.image import ImageEmbedding
from hf_select.embedding.text import TextEmbedding
from hf_select.pool import pixels
from hf_select.pool.images import RowImage
from hf_select.pool.row import Row
from hf_select.scoring import contexts, encode, instruction_relevance, losses, prompts
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.instruction_relevance import InstructionRelevance
from hf_select.scoring.row_facts import RowFacts
from hf_select.scoring.token_count import TokenCount

# scorer -> (scoring_version, what its numbers come from, hash)
PINS = {
    RowFacts: (1, [RowFacts.adds.fget, RowFacts.score, Row.key.func, RowImage.digest.func], "337f04659625938f"),
    AnswerLoss: (
        1,
        [AnswerLoss.adds.fget, AnswerLoss.score, contexts, encode, losses, prompts, pixels],
        "4e4f7a9df83b1f41",
    ),
    InstructionRelevance: (
        1,
        [
            InstructionRelevance.adds.fget,
            InstructionRelevance.score,
            instruction_relevance._ratio,
            contexts,
            encode,
            losses,
            prompts,
            pixels,
        ],
        "5a22ece244b8a67f",
    ),
    TokenCount: (
        1,
        [TokenCount.adds.fget, TokenCount.score, TokenCount._count, contexts, encode, prompts, pixels],
        "01b41eb0e934890d",
    ),
    ImageEmbedding: (
        1,
        [ImageEmbedding.adds.fget, ImageEmbedding.score, columns, image_engine, pooling, vectors, vision, pixels],
        "547a8d794afc5990",
    ),
    TextEmbedding: (
        1,
        [TextEmbedding.adds.fget, TextEmbedding.score, text.text_of, columns, pooling, text_engine, vectors],
        "b06aa5ff2ad7bab5",
    ),
}


def meaning(function) -> str:
    """The function's code without docstring and comments."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""
    return ast.unparse(tree)


def fingerprint(functions) -> str:
    return hashlib.blake2b("\n".join(map(meaning, functions)).encode(), digest_size=8).hexdigest()


@pytest.mark.parametrize("scorer", PINS, ids=lambda scorer: scorer.__name__)
def test_what_a_scorer_computes_is_pinned_to_its_scoring_version(scorer):
    version, functions, pin = PINS[scorer]
    assert (scorer.scoring_version, fingerprint(functions)) == (version, pin), (
        f"the code behind {scorer.__name__} changed: raise its scoring_version if its numbers can differ, then re-pin"
    )


def test_a_comment_or_a_docstring_needs_no_new_pin():
    def one(x):
        """One."""
        return x + 1

    def two(x):
        """Two."""
        # Why.
        return x + 1

    def three(x):
        """One."""
        return x + 2

    names = [meaning(f).split("(x)", 1)[1] for f in (one, two, three)]
    assert names[0] == names[1] != names[2]
