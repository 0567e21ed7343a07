from processors.execution.batch_size import FIRST_RECORDS, MAX_RECORDS, STEP_SECONDS, BatchSizer


def test_it_begins_carefully_and_follows_the_speed() -> None:
    pace = BatchSizer()
    assert pace.records == FIRST_RECORDS
    pace.took(16, 0.001)
    assert pace.records == MAX_RECORDS
    pace.took(1_000, 1_000 * STEP_SECONDS / 50)
    assert pace.records == 50


def test_a_very_slow_function_gets_its_records_one_by_one() -> None:
    pace = BatchSizer()
    pace.took(10, 600.0)
    assert pace.records == 1


def test_no_time_at_all_is_fast() -> None:
    pace = BatchSizer()
    pace.took(1, 0.0)
    assert pace.records == MAX_RECORDS
