import subprocess
import sys

from infra.process.exit_codes import ExitCode
from processors.consumer.watchdog import StallDetector, Watchdog
from tests.support.waiting import wait_until

A, B = ("prod.updates", 0), ("prod.updates", 1)


def test_a_partition_without_lag_is_never_stuck() -> None:
    detector = StallDetector[tuple[str, int]](10)
    for now in range(100):
        still = detector.observe({A: (5, 0)}, float(now))
        assert not detector.stuck(still)


def test_progress_starts_the_count_anew() -> None:
    detector = StallDetector[tuple[str, int]](10)
    for now in range(100):
        still = detector.observe({A: (now // 5, 7)}, float(now))
        assert not detector.stuck(still)


def test_standing_still_with_lag_is_stuck_after_the_limit() -> None:
    detector = StallDetector[tuple[str, int]](10)
    detector.observe({A: (5, 3), B: (0, 1)}, 0.0)
    still = detector.observe({A: (5, 4), B: (1, 1)}, 9.0)
    assert still == {A: 9.0}
    assert detector.stuck(still) == []
    assert detector.stuck(detector.observe({A: (5, 9), B: (2, 1)}, 10.0)) == [A]


def test_a_partition_that_was_let_go_is_forgotten() -> None:
    detector = StallDetector[tuple[str, int]](10)
    detector.observe({A: (5, 3)}, 0.0)
    detector.observe({}, 5.0)
    assert not detector.stuck(detector.observe({A: (5, 3)}, 20.0))


def test_the_process_ends_though_its_main_thread_never_yields() -> None:
    assert ended_by("Watchdog(lambda: {('t', 0): (1, 1)}, 1.5)") == ExitCode.STUCK


def test_a_thread_without_a_sign_of_life_ends_the_process_though_nothing_waits() -> None:
    assert ended_by("Watchdog(dict, 600, beats=lambda: {'intake': 7}, silence=1.5)") == ExitCode.STUCK


def test_a_thread_that_gives_signs_of_life_is_left_alone() -> None:
    looks: list[int] = []

    def beats() -> dict[str, int]:
        looks.append(len(looks))
        return {"intake": looks[-1]}

    watchdog = Watchdog(dict, 600, beats=beats, silence=1e-9)  # which would end this process
    watchdog.start()
    try:
        wait_until(lambda: len(looks) > 2)
        assert watchdog.problem is None
    finally:
        watchdog.stop()


def ended_by(watchdog: str) -> int:
    script = f"from processors.consumer.watchdog import Watchdog\n{watchdog}.start()\nwhile True: pass\n"
    return subprocess.run([sys.executable, "-c", script], timeout=60, check=False, capture_output=True).returncode
