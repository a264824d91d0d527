import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hf_select.sampling.bins import equal_count_bins, equal_width_bins, relative_ranks

floats = st.lists(st.one_of(st.just(np.nan), st.floats(-1e9, 1e9)), max_size=50)


@given(floats, st.integers(1, 7))
def test_equal_count_bins(scores, bins):
    scores = np.array(scores)
    codes = equal_count_bins(scores, bins)
    some = ~np.isnan(scores)
    assert (codes[~some] == -1).all() and (codes[some] >= 0).all()
    sizes = np.bincount(codes[some], minlength=bins)
    assert len(sizes) == bins and sizes.max() - sizes.min() <= 1
    for low in range(bins - 1):
        if (codes == low).any() and (codes == low + 1).any():
            assert scores[codes == low].max() <= scores[codes == low + 1].min()


@given(floats, st.integers(1, 7))
def test_equal_width_bins(scores, bins):
    scores = np.array(scores)
    codes = equal_width_bins(scores, bins)
    some = ~np.isnan(scores)
    assert (codes[~some] == -1).all() and ((codes[some] >= 0) & (codes[some] < bins)).all()
    order = np.argsort(scores[some], kind="stable")
    assert (np.diff(codes[some][order]) >= 0).all()


def test_equal_width_edges():
    assert equal_width_bins(np.array([0.0, 1.0, 4.9, 5.0, 10.0]), 2).tolist() == [0, 0, 0, 1, 1]
    assert equal_width_bins(np.array([3.0, 3.0]), 4).tolist() == [0, 0]


def test_relative_ranks_share_ties():
    assert relative_ranks(np.array([2.0, 1.0, np.nan, 2.0, 9.0])).tolist()[:2] == [0.5, 0.125]
    ranks = relative_ranks(np.array([2.0, 1.0, np.nan, 2.0, 9.0]))
    assert np.isnan(ranks[2]) and ranks[3] == 0.5 and ranks[4] == 0.875
    assert relative_ranks(np.full(5, 7.0)).tolist() == [0.5] * 5
