"""How often somebody may write, and for how long that is remembered."""

from __future__ import annotations

from brainrouter.bridge.access import Rate


def test_so_many_a_minute_are_taken_and_the_rest_is_told_once():
    rate = Rate(3)
    assert [rate.takes("a", 100.0 + second) for second in range(5)] == [True, True, True, False, False]
    assert [rate.tells("a", 104.0 + second) for second in range(2)] == [True, False]
    assert rate.takes("b", 104.0)
    assert [rate.takes("a", 100.0 + second) for second in (59, 60, 60)] == [False, True, False]


def test_those_who_are_silent_are_forgotten_and_those_who_write_are_not():
    rate = Rate(1)
    for number in range(1000):
        assert rate.takes(f"once {number}", 100.0)
        assert rate.tells(f"once {number}", 100.0)
    assert rate.takes("often", 150.0)
    assert not rate.takes("often", 170.0)
    assert rate.tells("often", 170.0)
    assert (set(rate._times), set(rate._told)) == ({"often"}, {"often"})
    assert not rate.takes("often", 209.0)
