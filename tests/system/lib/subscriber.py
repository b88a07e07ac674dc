# SPDX-License-Identifier: Apache-2.0
"""Sees every message that the broker takes, and holds each against the contract."""

import threading
import time
from collections import namedtuple

import paho.mqtt.client as mqtt

import contract
from . import net, wait
from .broker import OBSERVER

Arrival = namedtuple("Arrival", "monotonic wall message size topic")


class Subscriber:
    """Stays subscribed over restarts of the broker (see Broker).

    QoS 0 on purpose: it then sends nothing that a killed broker could leave unread, which would
    reset the connection and throw away what the broker had sent before it died.
    """

    def __init__(self, broker, on_arrival=None):
        self.arrivals = []
        self.violations = []
        self._on_arrival = on_arrival
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        client = mqtt.Client(client_id="observer", clean_session=False, protocol=mqtt.MQTTv311)
        client.username_pw_set(*OBSERVER)
        client.reconnect_delay_set(0.05, 0.2)
        client.on_connect = lambda client, *_: client.subscribe("#", qos=0)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_disconnect = lambda *_: self._subscribed.clear()
        client.on_message = self._message
        self._client = client
        client.connect_async(net.HOST, broker.port, keepalive=600)
        client.loop_start()
        self.wait_subscribed()
        broker.remember_sessions()

    def wait_subscribed(self, timeout=10):
        assert self._subscribed.wait(timeout), "the observer is not subscribed"

    def _message(self, _client, _userdata, raw):
        try:
            message = contract.check(raw.topic, raw.payload)
        except contract.Violation as violation:
            message = None
            self.violations.append(f"{violation}: {raw.topic} {raw.payload[:200]!r}")
        if raw.retain:
            self.violations.append(f"retained, which nobody asked for: {raw.topic}")
        arrival = Arrival(time.monotonic(), time.time(), message,
                          len(raw.payload) + len(raw.topic), raw.topic)
        with self._changed:
            self.arrivals.append(arrival)
            self._changed.notify_all()
        if self._on_arrival:
            self._on_arrival(arrival)

    def messages(self, kind=None, device=None, since=0):
        """Arrivals in order, from index `since` of self.arrivals."""
        return [arrival for arrival in list(self.arrivals)[since:]
                if arrival.message and kind in (None, arrival.message.kind)
                and device in (None, arrival.message.device)]

    def wait_for(self, condition, timeout, what):
        """Until condition() holds; looked at after each message."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                result = condition()
                if result:
                    return result
                left = end - time.monotonic()
                if left <= 0:
                    raise wait.NotInTime(
                        f"not within {timeout} s: {what() if callable(what) else what}")
                self._changed.wait(min(left, 0.2))

    def wait_message(self, timeout=15, kind=None, device=None, since=None, count=1):
        """The first `count` messages of that kind from now on, or from index `since`."""
        since = len(self.arrivals) if since is None else since
        return self.wait_for(
            lambda: (lambda found: found[:count] if len(found) >= count else None)(
                self.messages(kind, device, since)),
            timeout, f"{count} messages of kind {kind or 'any'} arrive")

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
