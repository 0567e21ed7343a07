from infra.local_kafka.configuration import LOG4J2, LOG_FILE, TOPICS_FOLDER, server_properties


def entries(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


MADE = entries(server_properties("127.0.0.1:9092", "127.0.0.1:9093", {}))


def test_clients_and_the_controller_have_an_address_each() -> None:
    assert MADE["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert MADE["controller.quorum.voters"] == f"{MADE['node.id']}@127.0.0.1:9093"


def test_files_and_folders_are_relative_so_that_the_data_folder_may_move() -> None:
    assert MADE["log.dirs"] == TOPICS_FOLDER
    assert f"appender.file.fileName = {LOG_FILE}" in LOG4J2.splitlines()
    assert not any(value.startswith("/") for value in MADE.values())
    assert "= /" not in LOG4J2


def test_one_node_can_hold_all_that_kafka_keeps_for_itself() -> None:
    copies = {name: value for name, value in MADE.items() if name.endswith((".replication.factor", ".min.isr"))}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}


def test_topics_are_made_by_those_who_know_their_partitions() -> None:
    assert MADE["auto.create.topics.enable"] == "false"


def test_more_entries_add_and_replace() -> None:
    more = {"log.retention.ms": "1000", "num.io.threads": "9"}
    assert entries(server_properties("127.0.0.1:9092", "127.0.0.1:9093", more)) == MADE | more


def test_what_the_broker_logs_takes_40_mb_at_most() -> None:
    lines = LOG4J2.splitlines()
    assert "appender.file.policies.size.size = 10MB" in lines
    assert "appender.file.strategy.max = 3" in lines
