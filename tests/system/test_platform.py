# SPDX-License-Identifier: Apache-2.0
"""A broker that refuses: logins, topics, sizes."""

import paho.mqtt.client as mqtt
import pytest

import contract
from conftest import ACCOUNTS, BOILER, CELLAR
from lib import wait


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_login_refused(bench, protocol):
    """The log says what to check, in the words of the platform; the other device goes on."""
    bench.start_broker()
    bench.start_slave()
    config = bench.config(bench.sensors(2), protocol=protocol)
    config["devices"].append({
        "name": "cellar", "uuid": CELLAR, "username": ACCOUNTS[1][0], "password": "wrong-Zz9",
        "defaults": {"bus": "plant"}, "sensors": bench.sensors(2, first=2)})
    bench.start_gateway(config)
    bench.gateway.wait_log("cellar.*(refused|not authori[sz]ed)", 20)
    bench.gateway.wait_log("Device Details|device is enabled|tenant", 5)
    bench.subscriber.wait_message(20, contract.BATCH, BOILER, since=0, count=15)
    status = bench.gateway.status()
    boiler, cellar = status["devices"]
    assert boiler["connected"] and not cellar["connected"]
    assert cellar["last_error"]
    assert cellar["backlog"] >= 10, "its readings wait"
    logins = bench.broker.log().count(f"as {CELLAR}") + bench.gateway.log().count("refused")
    assert logins <= 6, "a refused login is retried slowly, and not logged each time"

    # the platform's side is put right
    bench.broker.set_devices([ACCOUNTS[0], (ACCOUNTS[1][0], "wrong-Zz9", CELLAR)])
    bench.broker.reload()
    config["devices"][1]["interval"] = None
    del config["devices"][1]["interval"]
    config["devices"][1]["name"] = "cellar-2"  # a changed device connects anew at once
    bench.gateway.configure(config)
    bench.gateway.reload()
    bench.subscriber.wait_message(30, contract.HISTORY, CELLAR, count=2)
    bench.settle()
    bench.ledger().check_complete(duplicates=True)


def test_topic_denied(bench):
    """MQTT 5 tells that nobody took the message: nothing is deleted, and status says so."""
    topic = f"tenant/123/device/{BOILER}"
    bench.start_broker(denied=[topic, topic + "/#"])
    bench.start_slave()
    bench.start_gateway(bench.config())
    bench.gateway.wait_log("not authori[sz]ed", 20)
    status = bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 40, 30, "the readings wait")
    assert status["devices"][0]["delivered"] == 0
    assert status["devices"][0]["last_error"]
    assert not bench.subscriber.arrivals
    bench.broker.set_denied([])
    bench.broker.reload()
    bench.subscriber.wait_message(90, contract.HISTORY, since=0, count=4)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert min(ledger.values("count_0")) == 1


def test_one_topic_denied_for_long(bench):
    """A single sensor that the platform refuses does not hold up the rest of history."""
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    sensors = bench.sensors(3)
    bench.broker.set_denied([f"tenant/123/device/{BOILER}/sensors/{sensors[1]['uuid']}"])
    bench.start_gateway(bench.config(sensors))
    bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 60, 30, "an outage")
    bench.broker.start()
    bench.subscriber.wait_for(
        lambda: len(bench.ledger().of("count_0")) >= 20 and len(bench.ledger().of("count_2")) >= 20,
        90, "the history of the others")
    assert bench.gateway.running()


def test_packet_too_large_mqtt_5(bench):
    """The broker says how much it takes; messages are made to fit."""
    bench.start_broker(settings=["max_packet_size 2000"])
    bench.start_slave()
    bench.broker.kill()
    bench.start_gateway(bench.config(bench.sensors(40), protocol="5"))
    bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 2000, 60, "an outage")
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete()
    assert min(ledger.values("count_0")) == 1


def test_packet_too_large_mqtt_311(bench):
    """3.1.1 cannot say: the broker drops the connection; the message is halved until it fits."""
    bench.start_broker(settings=["max_packet_size 2500"])
    bench.start_slave()
    bench.broker.kill()
    bench.start_gateway(bench.config(bench.sensors(4, interval="50ms"), protocol="3.1.1",
                                     max_message_size="4KiB"))
    bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 800, 60, "an outage")
    bench.broker.start()
    # each halving takes a connection, and each of these a pause
    bench.subscriber.wait_for(lambda: len(bench.ledger()) >= 800, 150, "the backlog arrives")
    bench.settle()
    ledger = bench.ledger()
    ledger.check_complete(duplicates=True)
    assert min(ledger.values("count_0")) == 1


def test_taken_over(bench):
    """Somebody else with our client id throws us out again and again: pauses grow, nothing is lost.
    (Debian's mosquitto closes without a word; a broker that says 142 is in test_mqtt.)"""
    bench.start_broker()
    bench.start_slave()
    bench.start_gateway(bench.config(protocol="5"))
    bench.subscriber.wait_message(20, contract.BATCH, since=0, count=3)
    other = mqtt.Client(client_id=BOILER)
    other.username_pw_set(*ACCOUNTS[0][:2])
    other.connect("127.0.0.1", bench.broker.port)
    other.loop_start()
    wait.until(lambda: bench.gateway.log().count("disconnected") >= 3, 20, "three times")
    other.disconnect()
    other.loop_stop()
    bench.gateway.wait_connected(90)
    bench.settle()
    bench.ledger().check_complete(duplicates=True)


def test_unreachable_platform(bench):
    """A name that does not resolve, a port where nobody listens: retried, said once."""
    bench.start_broker()
    bench.start_slave()
    bench.broker.kill()
    bench.start_gateway(bench.config())
    bench.gateway.wait_log("refused|127.0.0.1", 15)
    wait.until(lambda: bench.gateway.backlog() >= 100, 30, "readings wait")
    lines = [line for line in bench.gateway.log().splitlines() if "refused" in line]
    assert len(lines) <= 3, "\n".join(lines)
