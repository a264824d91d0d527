"""Small fits of a study for tests."""

import numpy as np
from eval_reports import report

from hf_select.evaluation.study_results import StudyRun

COUNTS = {"picked": {"a": 6, "b": 4}, "pool_rows": {"a": 50, "b": 50}, "planted": {"swapped": (1, 20)}}


def fit(recipe, scores, *, seed=0, pool="plain", budget="10%", model="small", **changes):
    """A fit whose tasks have these scores of documents."""
    fields = {"rows": 10, "steps": 3, "forwards": 2.0, **COUNTS}
    fields["seconds"] = {"score": 2.0, "select": 1.0, "fit": 3.0, "evaluate": 9.0}
    told = {"pool": pool, "recipe": recipe, "budget": budget, "seed": seed, "model": model}
    return StudyRun(report=report(scores), **told, **fields | changes)


def scores(mean, n=60, seed=0):
    return (np.random.default_rng([seed, n]).random(n) < mean).astype(float).tolist()


def small_study(recipes=("good", "bad"), pools=("plain",), budgets=("10%",), seeds=3, tasks=("a", "b")):
    """Fits in which the first recipe is far above random and the second below; the rest equals random."""
    means = {"random": 0.5, **dict.fromkeys(recipes, 0.5)}
    means |= dict(zip(recipes[:2], (0.9, 0.1), strict=False))
    runs = []
    for pool in pools:
        runs.append(fit("start", {t: scores(0.1) for t in tasks}, pool=pool, budget="0", rows=0, steps=0))
        runs.append(fit("full", {t: scores(0.95) for t in tasks}, pool=pool, budget="100%", rows=100, steps=30))
        for budget in budgets:
            for recipe, mean in means.items():
                for seed in range(seeds):
                    got = {t: scores(mean, seed=seed * 100 + at) for at, t in enumerate(tasks)}
                    runs.append(fit(recipe, got, seed=seed, pool=pool, budget=budget))
    return runs
