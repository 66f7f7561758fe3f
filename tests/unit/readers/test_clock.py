"""Each file has its own time, and who gets no processor is not to blame."""

import pytest

from transforms.readers.keeper import PATIENCE, Clock, seconds_for


def busy() -> bool:
    return True


def idle() -> bool:
    return False


def test_a_small_file_does_not_use_the_time_of_a_large_one() -> None:
    clock = Clock({"large": 100, "small": 3, "": 103})
    clock.turn("large", (0.0, 0.0))
    assert not clock.is_over((50.0, 50.0), busy)
    clock.turn("small", (50.0, 50.0))
    assert not clock.is_over((53.0, 53.0), busy)
    assert clock.is_over((53.1, 53.1), busy)
    assert clock.file == "small"


def test_a_file_that_is_opened_again_has_what_is_left_of_its_time() -> None:
    clock = Clock({"a": 3, "b": 3, "": 6})
    clock.turn("a", (0.0, 0.0))
    clock.turn("b", (2.0, 2.0))
    clock.turn("a", (3.0, 3.0))
    assert not clock.is_over((4.0, 4.0), busy)
    assert clock.is_over((4.1, 4.1), busy)


def test_a_name_that_was_not_asked_for_has_no_time_of_its_own() -> None:
    clock = Clock({"a": 3, "b": 5, "": 8})
    clock.turn("c", (0.0, 0.0))
    assert clock.file == ""
    assert clock.is_over((8.1, 8.1), busy)


@pytest.mark.parametrize(
    ("processor", "wall", "works", "over"),
    [
        (0.0, 3.1, idle, True),  # it waits for nothing that will come
        (0.0, 3.1, busy, False),  # it would work if it got a processor
        (0.0, 3.0 * PATIENCE + 0.1, busy, True),
        (3.1, 3.1, busy, True),
        (2.9, 17.0, busy, False),
    ],
)
def test_waiting_and_working(processor, wall, works, over) -> None:
    assert Clock({"": 3}).is_over((processor, wall), works) is over


def test_the_time_follows_the_size_and_the_format() -> None:
    assert seconds_for(0) == seconds_for(2**20) == 3
    assert seconds_for(101 * 2**20, "excel") == 103
    assert seconds_for(101 * 2**20, "delimited") == 28
    assert seconds_for(5 * 2**30, "delimited") > 1200  # an honest export of 5 GB
    assert seconds_for(2**20, "excel", worn=True) == 2
