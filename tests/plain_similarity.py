"""Published choices by similarity, written out from their formulas, over all pairs and without shortcuts."""

import math

import numpy as np

from hf_select.sampling.kmeans import KMeansGroups


def clusters_of(points, **settings):
    """The one part taken from the package: k-means, as a list of codes."""
    keys = [f"{at:05d}" for at in range(len(points))]
    return KMeansGroups(**settings).assign(np.asarray(points, dtype=np.float32), keys).codes.tolist()


def unit_lists(points):
    """Each vector divided by its length."""
    return [np.asarray(p, dtype=np.float64) / math.sqrt(sum(float(v) ** 2 for v in p)) for p in points]


def to_centroids(points, codes):
    """1 - cosine of each row with the mean unit vector of its cluster."""
    x = unit_lists(points)
    result = []
    for at in range(len(x)):
        centre = np.mean([x[i] for i in range(len(x)) if codes[i] == codes[at]], axis=0)
        result.append(round(1 - float(x[at] @ centre) / math.sqrt(centre @ centre), 9))
    return result


def plain_prototypes(points, codes, n, far=True):
    """Self-Sup: sorted distances."""
    distance = to_centroids(points, codes)
    return sorted(range(len(points)), key=lambda at: (-distance[at] if far else distance[at], at))[:n]


def similar_before(points, codes, hard=True, included=()):
    """SemDeDup: each row's largest cosine to the rows before it in its cluster; None for the first."""
    x = unit_lists(points)
    distance = to_centroids(points, codes)
    result = [None] * len(x)
    for c in set(codes):
        mine = [i for i in range(len(x)) if codes[i] == c]
        line = sorted(mine, key=lambda i: (i not in included, -distance[i] if hard else distance[i], i))
        for place, i in enumerate(line):
            if place:
                result[i] = max(float(x[i] @ x[j]) for j in line[:place])
    return result


def kept_by_eps(points, codes, eps, hard=True):
    """SemDeDup as in its paper: the rows that one eps keeps."""
    values = similar_before(points, codes, hard)
    return {at for at in range(len(points)) if values[at] is None or values[at] <= 1 - eps}


def plain_semdedup(points, codes, n, hard=True, included=()):
    """SemDeDup with an exact budget."""
    values = similar_before(points, codes, hard, included)
    rank = [-1 if value is None else round(value, 9) for value in values]
    free = [at for at in range(len(points)) if at not in included]
    return sorted(free, key=lambda at: (rank[at], at))[:n]


def plain_typiclust(points, n, included=(), most_clusters=500, most=20, small=5):
    """TypiClust: clusters in turn, and every typicality computed anew from all that are left."""
    x = unit_lists(points)
    codes = clusters_of(x, k=max(1, min(len(included) + n, most_clusters)))
    left = {c: [i for i in range(len(x)) if codes[i] == c and i not in included] for c in set(codes)}
    size = {c: codes.count(c) for c in left}
    chosen = {c: size[c] - len(left[c]) for c in left}
    picked = []
    while len(picked) < n and any(left.values()):
        open_ = [c for c in left if left[c]]
        c = min(open_, key=lambda c: (size[c] <= small, chosen[c], -size[c], c))
        k = min(most, len(left[c]) // 2)
        typical = {}
        for i in left[c]:
            near = sorted(math.dist(x[i], x[j]) for j in left[c] if j != i)[:k]
            typical[i] = 1 / (sum(near) / k + 1e-5) if k else 0.0
        best = min(left[c], key=lambda i: (-round(typical[i], 6), i))
        picked.append(best)
        left[c].remove(best)
        chosen[c] += 1
    return picked


def plain_d2(scores, points, n, included=(), k=5, forward=1.0, reverse=0.4):
    """D2: messages along the edges, and the largest of all gains at each step."""
    x = unit_lists(points)
    s = [max(score, 1e-7) for score in scores]
    edges = {}
    for i in range(len(x)):
        near = sorted((round(math.dist(x[i], x[j]), 9), j) for j in range(len(x)) if j != i)
        edges[i] = near[:k]
    g = [s[i] + sum(math.exp(-forward * d) * s[j] for d, j in edges[i]) for i in range(len(x))]
    free, picked = set(range(len(x))), []
    waiting = set(included)
    while len(picked) < n + len(included):
        best = min(waiting or free, key=lambda i: (-round(g[i], 9), i))
        picked.append(best)
        free.discard(best)
        waiting.discard(best)
        for d, j in edges[best]:
            if j in free:
                g[j] -= math.exp(-reverse * d) * g[best]
    return picked[len(included) :]


def lumps(seed, n=90, dim=6, centres=5, spread=0.4):
    """Vectors around a few centres, with near-duplicates and exact copies among them."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(centres, dim))[rng.integers(0, centres, n)] + spread * rng.normal(size=(n, dim))
    points *= rng.uniform(0.5, 2, size=(n, 1))
    points[n // 2 : n // 2 + 4] = points[:4]
    points[n // 2 + 4 : n // 2 + 8] = points[4:8] + 0.001 * rng.normal(size=(4, dim))
    return points.astype(np.float32)
