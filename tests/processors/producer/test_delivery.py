from functools import partial

from processors.producer.delivery import DeliveryTracker


def test_the_offset_never_passes_what_is_not_delivered() -> None:
    delivered = DeliveryTracker()
    told: list[int] = []
    first, second, third = (delivered.expect(offset, partial(told.append, offset)) for offset in (10, 20, 30))
    reached = [delivered.offset]
    for arrived in (second, first, third):
        arrived()
        reached.append(delivered.offset)
    assert reached == [None, None, 20, 30]
    assert told == [20, 10, 30]
