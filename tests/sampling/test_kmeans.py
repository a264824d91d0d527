import numpy as np
import pytest

from hf_select.errors import UsageError
from hf_select.sampling.kmeans import KMeansGroups


def blobs(centres=6, each=40, seed=0):
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, 8)) * 20
    points = np.repeat(middle, each, axis=0) + rng.normal(size=(centres * each, 8))
    return points.astype(np.float32), np.repeat(np.arange(centres), each)


def keys(n):
    return [f"{at:04d}" for at in range(n)]


def same_partition(one, other):
    return len({*zip(one.tolist(), other.tolist(), strict=True)}) == len(set(one.tolist())) == len(set(other.tolist()))


def test_clear_blobs_are_found():
    points, truth = blobs(centres=3)
    found = KMeansGroups(k=3).assign(points, keys(len(points)))
    assert same_partition(found.codes, truth)
    assert found.names == ["0", "1", "2"]


def test_a_share_is_rounded_down_and_is_at_least_1():
    assert [KMeansGroups().count(n) for n in (1, 99, 100, 199, 200, 1197)] == [1, 1, 1, 1, 2, 11]
    assert KMeansGroups(k=50).count(7) == 7


def test_groups_never_cross_labels():
    points, _ = blobs()
    labels = ["b" if at % 2 else "a" for at in range(len(points))]
    found = KMeansGroups(k=0.05).assign(points, keys(len(points)), labels)
    assert found.labels == ["a"] * 6 + ["b"] * 6
    assert found.names[:2] == ["a / 0", "a / 1"]
    assert all(found.labels[code] == label for code, label in zip(found.codes, labels, strict=True))
    assert set(found.inertia) == {"a", "b"}


def test_sel_14_the_order_of_rows_changes_nothing():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(200, 4)).astype(np.float32)
    order = rng.permutation(200)
    names = np.array(keys(200))
    one = KMeansGroups(k=10).assign(points, names.tolist(), seed=3).codes
    other = KMeansGroups(k=10).assign(points[order], names[order].tolist(), seed=3).codes
    assert (one[order] == other).all()


def test_sel_15_all_rows_train_unless_told_otherwise():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(3000, 8)).astype(np.float32)
    whole = KMeansGroups(k=4, iterations=40).assign(points, keys(3000))
    part = KMeansGroups(k=4, iterations=40, max_points_per_centroid=20).assign(points, keys(3000))
    assert whole.inertia[""] < part.inertia[""]
    means = np.stack([points[whole.codes == code].mean(axis=0) for code in range(4)])
    nearest = ((points[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == whole.codes).mean() > 0.97


@pytest.mark.parametrize("seed", [-1, 2**31 - 1, 2**31, 2**70])
def test_any_whole_number_is_a_seed(seed):
    points, _ = blobs()
    one, other = (KMeansGroups(k=9, max_points_per_centroid=5).assign(points, keys(240), seed=seed) for _ in range(2))
    assert (one.codes == other.codes).all()


def test_sel_27_new_features_give_new_groups():
    first, second = (np.random.default_rng(seed).normal(size=(10, 3)).astype(np.float32) for seed in (1, 2))
    one, other = (KMeansGroups(k=3).assign(points, keys(10)).codes for points in (first, second))
    assert not same_partition(one, other)


def test_fewer_distinct_points_than_groups():
    points = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    found = KMeansGroups(k=5).assign(points, keys(12))
    assert len(set(found.codes.tolist())) == 3
    assert found.inertia[""] == pytest.approx(0.0, abs=1e-5)


def test_spherical_groups_ignore_length():
    rng = np.random.default_rng(0)
    points, truth = blobs(centres=4)
    stretched = points * rng.uniform(0.5, 5, size=(len(points), 1)).astype(np.float32)
    found = KMeansGroups(k=4, spherical=True).assign(stretched, keys(len(points)))
    again = KMeansGroups(k=4, spherical=True).assign(points, keys(len(points)))
    assert same_partition(found.codes, again.codes)
    assert len(truth) == len(found.codes)


def test_rows_without_a_vector_have_no_group():
    points, _ = blobs(centres=2)
    points[5] = np.nan
    points[6] = 0
    codes = KMeansGroups(k=2).assign(points, keys(len(points))).codes
    assert codes[5] == codes[6] == -1
    assert (np.delete(codes, [5, 6]) >= 0).all()


@pytest.mark.parametrize(
    "settings",
    [{"k": 0}, {"k": -1}, {"k": 2.5}, {"k": float("inf")}, {"iterations": 0}, {"max_points_per_centroid": 0}],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(UsageError):
        KMeansGroups(**settings)


def test_one_key_is_needed_for_every_row():
    with pytest.raises(UsageError, match="3 keys"):
        KMeansGroups().assign(np.zeros((2, 2), dtype=np.float32), keys(3))
