from processors.consumer.batches import once


def test_what_makes_room_does_so_once_however_often_it_is_called() -> None:
    calls: list[str] = []
    done = once(lambda: calls.append("done"))
    assert calls == []
    for _ in range(3):
        done()
    assert calls == ["done"]


def test_a_call_from_within_the_call_does_nothing() -> None:
    calls: list[str] = []

    def call() -> None:
        calls.append("done")
        done()

    done = once(call)
    done()
    assert calls == ["done"]


def test_two_batches_make_room_for_one_each() -> None:
    calls: list[str] = []
    for name in "ab":
        done = once(lambda name=name: calls.append(name))  # type: ignore[misc]  # a default is no argument of a call
        done()
        done()
    assert calls == ["a", "b"]
