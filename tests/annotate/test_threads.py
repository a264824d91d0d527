import threading

import pytest

from hf_select.annotate import threads
from hf_select.annotate.threads import in_threads
from hf_select.errors import HFSelectError


@pytest.fixture
def stop():
    return threading.Event()


def test_every_result_comes_once(stop):
    assert sorted(in_threads(lambda n: n * n, range(20), 3, stop)) == [(n, n * n) for n in range(20)]


def test_items_are_drawn_when_there_is_room(stop):
    drawn = []

    def items():
        for number in range(9):
            drawn.append(number)
            yield number

    running = in_threads(lambda n: n, items(), 2, stop)
    next(running)
    assert len(drawn) == 2
    running.close()
    assert stop.is_set() and len(drawn) == 2


def test_after_an_error_nothing_is_drawn_and_what_is_under_way_is_handed_over(stop):
    together = threading.Barrier(3)

    def work(number):
        together.wait(10)
        if number == 1:
            raise HFSelectError("enough")
        return number

    got = []
    with pytest.raises(HFSelectError, match="enough"):
        for number, _ in in_threads(work, range(3, 0, -1), 3, stop):
            got.append(number)
    assert sorted(got) == [2, 3]


def test_a_set_stop_ends_it_without_an_error(stop):
    def work(number):
        if number == 2:
            stop.set()
        return number

    assert [number for number, _ in in_threads(work, range(9), 1, stop)] == [0, 1, 2]


def interrupting(monkeypatch, times):
    """Let the first `times` waits be interrupted as by Ctrl-C."""
    waited, wait = [], threads.wait

    def interrupted(*args, **kwargs):
        waited.append(1)
        if len(waited) <= times:
            # Not by a signal: a test run in the background ignores SIGINT, and would wait for ever.
            raise KeyboardInterrupt
        return wait(*args, **kwargs)

    monkeypatch.setattr(threads, "wait", interrupted)


def test_an_interrupt_waits_for_what_is_under_way_and_tells_it_to_hurry(stop, monkeypatch):
    interrupting(monkeypatch, 1)
    got = []
    with pytest.raises(KeyboardInterrupt):
        for number, hurried in in_threads(lambda n: stop.wait(10), range(9), 2, stop):
            got.append((number, hurried))
    assert sorted(got) == [(0, True), (1, True)]


def test_a_second_interrupt_does_not_wait(stop, monkeypatch):
    interrupting(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        list(in_threads(lambda n: stop.wait(10), range(9), 2, stop))
