"""A painting thread lets go of the core now and then."""

from nexus_tui.breath import SLEEP_S, Breath


def test_a_breath_is_taken_once_a_millisecond_and_counts_from_its_end() -> None:
    now_ns, slept = [5_000_000], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_ns[0] += 900_000

    breath = Breath(lambda: now_ns[0], sleep)
    for passed_ns, breaths in ((0, 1), (1_000_000, 1), (1, 2), (999_999, 2), (1, 2), (1, 3)):
        now_ns[0] += passed_ns
        breath.take()
        assert len(slept) == breaths
    assert set(slept) == {SLEEP_S}
