# SPDX-License-Identifier: Apache-2.0
"""TLS: the right certificate and nothing else."""

import contract
from lib.pki import Authority


def config(bench, authority, host="localhost", **tls):
    made = bench.config(port=bench.broker.tls_port)
    made["platform"]["host"] = host
    made["platform"]["tls"] = {"ca_file": str(authority.cert), **tls}
    return made


def test_tls(bench, authority):
    cert, key = authority.issue("good", "DNS:localhost,IP:127.0.0.1")
    bench.start_broker(tls={"cert": cert, "key": key})
    bench.start_slave()
    bench.start_gateway(config(bench, authority))
    bench.subscriber.wait_message(30, contract.BATCH, since=0, count=5)
    assert f"on port {bench.broker.tls_port}" in bench.broker.log()
    bench.settle()
    bench.ledger().check_complete()


def test_broker_killed_under_tls(bench, authority):
    cert, key = authority.issue("killed", "DNS:localhost,IP:127.0.0.1")
    bench.start_broker(tls={"cert": cert, "key": key})
    bench.start_slave()
    bench.start_gateway(config(bench, authority, host="127.0.0.1"))
    bench.subscriber.wait_message(30, contract.BATCH, since=0, count=3)
    bench.broker.kill()
    bench.gateway.wait_connected(20, connected=False)
    bench.gateway.wait_status(lambda status: status["devices"][0]["backlog"] >= 40, 30, "backlog")
    bench.broker.start()
    bench.gateway.wait_connected(60)
    bench.settle()
    bench.ledger().check_complete(duplicates=True)


def test_wrong_host_name(bench, authority):
    """A valid certificate of somebody else: refused, nothing sent, readings kept."""
    cert, key = authority.issue("other", "DNS:mqtt.example.org")
    bench.start_broker(tls={"cert": cert, "key": key})
    bench.start_slave()
    bench.start_gateway(config(bench, authority))
    bench.gateway.wait_log("host ?name|certificate", 20)
    status = bench.gateway.wait_status(
        lambda status: status["devices"][0]["backlog"] >= 40, 30, "readings wait")
    assert not status["devices"][0]["connected"]
    assert not bench.subscriber.arrivals


def test_unknown_authority(bench, authority, tmp_path):
    stranger = Authority(tmp_path / "stranger", "Stranger")
    cert, key = stranger.issue("server", "DNS:localhost,IP:127.0.0.1")
    bench.start_broker(tls={"cert": cert, "key": key})
    bench.start_slave()
    bench.start_gateway(config(bench, authority))
    bench.gateway.wait_log("certificate", 20)
    assert not bench.gateway.device()["connected"]
    assert not bench.subscriber.arrivals


def test_client_certificate(bench, authority):
    cert, key = authority.issue("demanding", "DNS:localhost,IP:127.0.0.1")
    client_cert, client_key = authority.issue("boiler")
    bench.start_broker(tls={"cert": cert, "key": key, "ca": authority.cert})
    bench.start_slave()
    bench.start_gateway(config(bench, authority, cert_file=str(client_cert),
                               key_file=str(client_key)))
    bench.subscriber.wait_message(30, contract.BATCH, since=0, count=3)
    bench.settle()
    bench.ledger().check_complete()


def test_client_certificate_missing(bench, authority):
    cert, key = authority.issue("strict", "DNS:localhost,IP:127.0.0.1")
    bench.start_broker(tls={"cert": cert, "key": key, "ca": authority.cert})
    bench.start_slave()
    bench.start_gateway(config(bench, authority))
    bench.gateway.wait_log("certificate|TLS", 20)
    assert not bench.gateway.device()["connected"]
    assert not bench.subscriber.arrivals
