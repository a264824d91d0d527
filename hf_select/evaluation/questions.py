"""When two questions are the same: equal once normalised, or one holds most of the other's letter 5-grams."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from hf_select.errors import UsageError

CONTAINED = 0.8
"""Share of a benchmark question's 5-grams that a pool's question must hold to be near."""

_LENGTH = 5
_MARK = re.compile(r"<image[ \d]*>", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """`text` in NFKC and lower case, without image marks, every run of other than letters and digits as one space."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", _MARK.sub(" ", text)).casefold()).strip()


def shingles(text: str) -> set[str]:
    """Every run of five characters of a normalised text; the text itself where it is shorter."""
    return {text[at : at + _LENGTH] for at in range(max(1, len(text) - _LENGTH + 1))}


def containment(inner: str, outer: str) -> float:
    """Share of the 5-grams of `inner` that `outer` holds, both normalised: |A and B| / |A|."""
    grams = shingles(inner)
    return len(grams & shingles(outer)) / len(grams)


class QuestionIndex:
    """Looks up which of many questions are held by a text; exact.

    Of a question with n 5-grams, a text that holds a share t of them holds one of any n - ceil(t n) + 1. The rarest
    ones are kept (prefix filtering, Chaudhuri et al., ICDE 2006), so that phrases which every question has, such as
    "what is the", lead nowhere.

    Args:
        texts: Distinct normalised questions, none empty.
        share: Least containment, over 0 up to 1.

    Cost: memory for all 5-grams of the questions that were ever verified, a fifth of those of the others.
    """

    def __init__(self, texts: Sequence[str], share: float = CONTAINED) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"a share of {share:g} can't be looked up: give more than 0, up to 1.")
        self._texts = list(texts)
        self._share = share
        frequency = Counter(gram for text in self._texts for gram in shingles(text))
        self._places: dict[str, list[int]] = {}
        self._grams: dict[int, set[str]] = {}
        for place, text in enumerate(self._texts):
            grams = sorted(shingles(text), key=lambda gram: (frequency[gram], gram))
            for gram in grams[: len(grams) - math.ceil(share * len(grams)) + 1]:
                self._places.setdefault(gram, []).append(place)

    def find(self, text: str) -> list[tuple[int, float]]:
        """Positions and containments of the questions that a normalised text holds, ascending by position."""
        held = shingles(text)
        candidates = {place for gram in held for place in self._places.get(gram, ())}
        found = []
        for place in sorted(candidates):
            grams = self._grams_of(place)
            common = len(grams & held)
            if common >= math.ceil(self._share * len(grams)):
                found.append((place, common / len(grams)))
        return found

    def _grams_of(self, place: int) -> set[str]:
        if place not in self._grams:
            self._grams[place] = shingles(self._texts[place])
        return self._grams[place]
