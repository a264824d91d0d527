"""Published choices written out from their formulas, over all pairs and without shortcuts."""

import math

import numpy as np

from hf_select.sampling.kmeans import KMeansGroups


def by_svd(points, energy):
    """ScalSelect: leverage by a full singular value decomposition, and k."""
    centred = np.asarray(points, dtype=np.float64) - np.mean(points, axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    k = 1
    while (s[:k] ** 2).sum() < energy * (s**2).sum():
        k += 1
    return (u[:, :k] ** 2).sum(axis=1), k


def by_pairs(points):
    """PRISM: the mean correlation of each row with the others, pair by pair."""
    points = np.asarray(points, dtype=np.float64)
    mean = [sum(column) / len(points) for column in points.T]
    result = []
    for i in range(len(points)):
        total = 0.0
        for j in range(len(points)):
            if i != j:
                a, b = points[i] - mean, points[j] - mean
                total += a @ b / np.sqrt((a @ a) * (b @ b))
        result.append(total / (len(points) - 1))
    return np.array(result)


def plain_fps(points, n, chosen=()):
    """Farthest points, one distance after the other."""
    points = np.asarray(points, dtype=np.float64)
    chosen = [np.asarray(point, dtype=np.float64) for point in chosen]
    picked = []
    while len(picked) < n:
        best, far = None, -1.0
        for at in range(len(points)):
            if at in picked:
                continue
            near = min((math.dist(points[at], c) ** 2 for c in chosen), default=points[at] @ points[at])
            if near > far + 1e-9:
                best, far = at, near
        picked.append(best)
        chosen.append(points[best])
    return picked


def plain_dics(scores, points, n):
    """DICS: the three cases of its ratio."""
    ranked = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    m = len(scores)
    if 2 * n == m:
        return ranked[:n]
    keep = max(0, 2 * n - m)
    pool = sorted(ranked[keep : keep + 2 * (n - keep)])
    return ranked[:keep] + [pool[at] for at in plain_fps(points[pool], n - keep, points[ranked[:keep]])]


def plain_kernel(a, b):
    """A Gaussian kernel."""
    return math.exp(-float(np.sum((np.asarray(a, dtype=np.float64) - b) ** 2)) / 2)


def plain_mmd(points, n, taken=()):
    """Every candidate's whole MMD, written out."""
    x = np.asarray(points, dtype=np.float64)
    k = np.array([[plain_kernel(a, b) for b in x] for a in x])
    chosen = list(taken)
    for _ in range(n):
        losses = {}
        for at in range(len(x)):
            if at not in chosen:
                s = [*chosen, at]
                losses[at] = k[np.ix_(s, s)].mean() - 2 * k[:, s].mean() + k.mean()
        chosen.append(min(losses, key=lambda at: (round(losses[at], 11), at)))
    return chosen[len(taken) :]


def plain_transfer(centroids, alike=0.9):
    """COINCIDE: transferability, cosine by cosine."""
    result = []
    for a in range(len(centroids)):
        found = []
        for b in range(len(centroids)):
            u, v = centroids[a][len(centroids[a]) // 2 :], centroids[b][len(centroids[b]) // 2 :]
            norms = np.sqrt((u @ u) * (v @ v))
            cosine = u @ v / norms if norms > 0 else 0.0
            if a != b and cosine <= alike:
                found.append(cosine)
        result.append(sum(found) / len(found) if found else 0.0)
    return result


def plain_coincide(points, k, budget, exact):
    """The whole method, cluster by cluster, beside the same k-means."""
    codes = (
        KMeansGroups(k=k, spherical=True, iterations=50).assign(points, [f"{i:05d}" for i in range(len(points))]).codes
    )
    x = points.astype(np.float64)
    members = {c: [i for i in range(len(x)) if codes[i] == c] for c in sorted(set(codes.tolist()))}
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    transfer = plain_transfer([units[members[c]].mean(axis=0) for c in members])
    density = [np.mean([[plain_kernel(x[i], x[j]) for i in members[c]] for j in members[c]]) for c in members]
    weight = dict(zip(members, [math.exp(t / (0.1 * d)) for t, d in zip(transfer, density, strict=True)], strict=True))
    quota = dict.fromkeys(members, 0)
    left = budget
    while left:
        waiting = sorted((c for c in members if quota[c] < len(members[c])), key=lambda c: -weight[c])
        if not waiting:
            break
        for at, c in enumerate(waiting):
            n = min(round(left * weight[c] / sum(weight[o] for o in waiting[at:])), len(members[c]) - quota[c])
            quota[c] += n
            left -= n
        if not exact:
            break
    return [i for c in members for i in [members[c][at] for at in plain_mmd(x[members[c]], quota[c])]]


def by_cluster(scores, codes, quota):
    """The highest scores of each cluster, cluster by cluster, ties by row."""
    ranked = sorted(range(len(scores)), key=lambda at: (codes[at], -scores[at], at))
    return [at for at in ranked if sum(codes[i] == codes[at] for i in ranked[: ranked.index(at)]) < quota[codes[at]]]
