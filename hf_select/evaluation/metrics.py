"""Scores of one answer against its references, between 0 and 1, defined as lmms-eval 0.7 defines them.

Each function takes the predicted text and a list of accepted answers and takes the best reference. Means over
documents are plain means. Cost: ANLS and ROUGE-L are quadratic in the length of the texts, the others linear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hf_select.errors import UnknownName, UsageError

ANLS_THRESHOLD = 0.5
RELAXED_TOLERANCE = 0.05
ROUGE_BETA = 1.2


def normalized(text: str) -> str:
    """Return `text` in lower case with single blanks and none at the ends."""
    return " ".join(text.lower().split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference equals the prediction after `normalized`; punctuation counts."""
    answer = normalized(prediction)
    return float(any(answer == normalized(reference) for reference in references))


def contains(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference that isn't empty stands inside the prediction after `normalized` (OCRBench's rule)."""
    answer = normalized(prediction)
    return float(any(wanted in answer for wanted in map(normalized, references) if wanted))


def anls(prediction: str, references: Sequence[str]) -> float:
    """Average normalised Levenshtein similarity of one document, as in lmms-eval's `anls` (DocVQA, InfographicVQA).

    1 - d / n, with d the edit distance of the `normalized` texts and n the length of the longer *raw* text; the best
    reference counts, and a similarity below 0.5 is 0.
    """
    answer = normalized(prediction)
    best = 0.0
    for reference in references:
        longest = max(len(reference.upper()), len(prediction.upper()))
        distance = edit_distance(answer, normalized(reference))
        best = max(best, 1.0 - distance / longest if longest else 1.0)
    return best if best >= ANLS_THRESHOLD else 0.0


def relaxed_accuracy(prediction: str, references: Sequence[str]) -> float:
    """ChartQA's relaxed accuracy as in lmms-eval.

    Where both texts are numbers (a % at the end divides by 100) and the reference is not 0, 1 if the prediction is
    within 5 % *of the reference*; else 1 if the texts are equal but for case. "$5" and "1,000" are no numbers.
    """
    return float(any(_relaxed(prediction, reference) for reference in references))


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """ROUGE-L as in pycocoevalcap, which lmms-eval's caption tasks call, on lower-case words split at blanks.

    F = (1 + b^2) P R / (R + b^2 P) with b = 1.2; P and R are the longest common subsequence over the number of words of
    the prediction and of a reference, each the best over the references. The caption tasks also drop punctuation with a
    Java tokeniser before; this function does not.
    """
    answer = prediction.lower().split()
    wanted = [words for words in (reference.lower().split() for reference in references) if words]
    if not answer or not wanted:
        return 0.0
    common = [_common_subsequence(answer, words) for words in wanted]
    precision = max(common) / len(answer)
    recall = max(length / len(words) for length, words in zip(common, wanted, strict=True))
    if precision == 0.0 or recall == 0.0:
        return 0.0
    square = ROUGE_BETA**2
    return (1 + square) * precision * recall / (recall + square * precision)


METRICS: dict[str, Callable[[str, Sequence[str]], float]] = {
    "exact_match": exact_match,
    "contains": contains,
    "anls": anls,
    "relaxed_accuracy": relaxed_accuracy,
    "rouge_l": rouge_l,
}


def metric(name: str) -> Callable[[str, Sequence[str]], float]:
    """Return the metric called `name`, or raise `UnknownName`."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def mean_score(name: str, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean of the metric `name` over documents; as many predictions as reference lists, at least one."""
    if len(predictions) != len(references) or not predictions:
        raise UsageError(
            f"{len(predictions)} predictions for {len(references)} documents: "
            "give one prediction for each document and at least one document."
        )
    score = metric(name)
    return sum(score(p, r) for p, r in zip(predictions, references, strict=True)) / len(predictions)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and replacements of one character, each at cost 1."""
    previous = list(range(len(b) + 1))
    for row, x in enumerate(a, 1):
        current = [row]
        for column, y in enumerate(b, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (x != y)))
        previous = current
    return previous[-1]


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    previous = [0] * (len(b) + 1)
    for x in a:
        current = [0]
        for column, y in enumerate(b, 1):
            current.append(previous[column - 1] + 1 if x == y else max(previous[column], current[-1]))
        previous = current
    return previous[-1]


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _relaxed(prediction: str, reference: str) -> bool:
    given, wanted = _number(prediction), _number(reference)
    if given is not None and wanted:
        return abs(given - wanted) / abs(wanted) <= RELAXED_TOLERANCE
    return prediction.lower() == reference.lower()
