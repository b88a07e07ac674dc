# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: a good file is taken over, a bad one changes nothing."""

import copy

import contract


def test_new_sensor(bench):
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(2))
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    config["devices"][0]["sensors"] = bench.sensors(3)
    bench.gateway.configure(config)
    bench.gateway.reload()
    bench.subscriber.wait_for(lambda: len(bench.ledger().of("count_2")) >= 3, 20, "the new sensor")
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)


def test_bad_file_changes_nothing(bench):
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(2))
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    good = bench.gateway.config_path.read_text()
    bench.gateway.config_path.write_text(good.replace("interval: 200ms", "intervall: 200ms"))
    bench.gateway.reload()
    bench.gateway.wait_log(r"gateway\.yaml:\d+:\d+: .*intervall", 10)
    since = len(bench.subscriber.arrivals)
    bench.subscriber.wait_message(10, contract.BATCH, since=since, count=5)
    assert bench.gateway.device()["connected"]
    bench.settle()
    bench.ledger().check_complete()


def test_missing_file_changes_nothing(bench):
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(bench.sensors(2)))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    bench.gateway.config_path.unlink()
    bench.gateway.reload()
    bench.gateway.wait_log("No such file", 10)
    since = len(bench.subscriber.arrivals)
    bench.subscriber.wait_message(10, contract.BATCH, since=since, count=3)


def test_unchanged_bus_goes_on(bench):
    """A change on one bus does not interrupt the other, nor the connection."""
    bench.start_broker()
    first = bench.start_slave("first")
    second = bench.start_slave("second")
    config = bench.config(bench.sensors(2), slave=first)
    config["buses"].append({**config["buses"][0], "name": "other",
                            "options": {**config["buses"][0]["options"], "port": second.port}})
    other = bench.sensors(2, first=2)
    for sensor in other:
        sensor["bus"] = "other"
    config["devices"][0]["sensors"] += other
    bench.start_gateway(config)
    bench.subscriber.wait_for(lambda: len(bench.ledger().sensors) == 4, 20, "all four sensors")
    connections = first.connections()
    changed = copy.deepcopy(config)
    changed["buses"][1]["options"]["response_timeout"] = "400ms"
    bench.gateway.configure(changed)
    bench.gateway.reload()
    bench.gateway.wait_log("reload", 10)
    since = len(bench.subscriber.arrivals)
    bench.subscriber.wait_for(
        lambda: {reading.sensor for arrival in bench.subscriber.messages(since=since)
                 for reading in arrival.message.readings}
        >= {"count_0", "count_1", "count_2", "count_3"}, 20, "all four go on")
    assert first.connections() == connections, "the unchanged bus was not reopened"
    bench.settle()
    bench.ledger().check_complete()


def test_device_removed_and_back(bench):
    """Readings of a device that is no longer configured wait in the journal for its return."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(2))
    bench.start_gateway(config)
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    for _ in range(3):
        bench.gateway.reload()  # nothing changed: nothing happens
    since = len(bench.subscriber.arrivals)
    bench.subscriber.wait_message(20, contract.BATCH, since=since, count=5)
    bench.settle()
    bench.ledger().check_complete()
    assert bench.broker.log().count("New client connected") <= 3, "the connection was kept"
