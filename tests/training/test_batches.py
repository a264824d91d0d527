from hypothesis import given
from hypothesis import strategies as st

from hf_select.training.batches import STEPS_SORTED_TOGETHER, StepBatches

POOLS = st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=60)


def batches(pool, batch_size=2, accumulation=1, seed=0):
    lengths, with_image = zip(*pool, strict=True)
    return StepBatches(lengths, with_image, batch_size, accumulation, seed)


@given(POOLS, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_every_row_comes_once_an_epoch_and_the_count_is_known(pool, batch_size, accumulation, epoch):
    made = batches(pool, batch_size, accumulation)
    made.set_epoch(epoch)
    passes = list(made)
    assert sorted(row for one in passes for row in one) == list(range(len(pool)))
    assert len(passes) == len(made)
    assert all(1 <= len(one) <= batch_size for one in passes)


@given(POOLS, st.integers(0, 3))
def test_a_step_holds_the_same_rows_however_it_is_split(pool, epoch):
    ways = [batches(pool, size, 8 // size).steps(epoch) for size in (1, 2, 4, 8)]
    for steps in ways[1:]:
        assert [step.tolist() for step in steps] == [step.tolist() for step in ways[0]]


@given(POOLS)
def test_inside_a_step_pictures_come_first_and_long_rows_first_of_each_kind(pool):
    for step in batches(pool, 4, 2).steps(0):
        order = [(not pool[row][1], -pool[row][0]) for row in step]
        assert order == sorted(order)


def test_epochs_and_seeds_give_other_orders_and_calls_the_same():
    pool = [(10, False)] * 64
    one = batches(pool)
    orders = {str(b.steps(epoch)) for b in (one, batches(pool, seed=1)) for epoch in (0, 1)}
    assert len(orders) == 4
    assert list(one) == list(one)


def test_rows_of_a_step_have_similar_lengths():
    pool = [(1 + 37 * i % 400, True) for i in range(8 * 4 * STEPS_SORTED_TOGETHER)]
    spread = [max(pool[r][0] for r in step) - min(pool[r][0] for r in step) for step in batches(pool, 4).steps(0)]
    assert sum(spread) / len(spread) < 100


def test_the_short_step_is_the_last():
    assert [len(step) for step in batches([(5, True)] * 11, 2, 2).steps(0)] == [4, 4, 3]
