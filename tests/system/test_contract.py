# SPDX-License-Identifier: Apache-2.0
"""The checker itself: it must take the platform's own examples and refuse everything else."""

import pytest

import contract

DEVICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
SENSOR = "fe738b8f-9efe-46a7-a1c6-b861be358442"
BATCH = f"tenant/123/device/{DEVICE}"
SINGLE = f"{BATCH}/sensor/temp_01"
HISTORY = f"{BATCH}/sensors/{SENSOR}"

pytestmark = pytest.mark.core


def test_takes_a_single_reading():
    message = contract.check(SINGLE, b'{"value":24.5,"timestamp":"2023-10-27T10:00:00Z"}')
    assert message.kind == contract.SINGLE
    assert message.tenant == "123"
    assert message.device == DEVICE
    assert message.readings == [("temp_01", 24.5, 1698400800.0)]


def test_takes_history():
    message = contract.check(HISTORY, b'''[
        {"value": 24.0, "timestamp": "2023-10-27T09:00:00Z"},
        {"value": 24.2, "timestamp": "2023-10-27T09:15:00.250Z"}]''')
    assert message.kind == contract.HISTORY
    assert [reading.value for reading in message.readings] == [24.0, 24.2]
    assert message.readings[1].timestamp == 1698398100.25


def test_takes_a_batch():
    message = contract.check(BATCH, b'''{"data": [
        {"sensor_slug": "temp_01", "value": 24.5},
        {"sensor_uuid": "7a8b9c0d-1234-5678-90ab-cdef12345678", "value": 100}],
        "battery_voltage": 3.7}''')
    assert message.kind == contract.BATCH
    assert message.battery == 3.7
    assert [reading.timestamp for reading in message.readings] == [None, None]


@pytest.mark.parametrize("topic", [
    "", "tenant", f"/{BATCH}", f"{BATCH}/", f"tenant/123/device/{DEVICE.upper()}",
    "tenant/123/device/boiler", f"tenant//device/{DEVICE}", f"{BATCH}/status",
    f"{BATCH}/sensor/", f"{BATCH}/sensor/a/b", f"{BATCH}/sensor/a+b", f"{BATCH}/sensors",
])
def test_refuses_other_topics(topic):
    with pytest.raises(contract.Violation):
        contract.check(topic, b'{"value": 1}')


@pytest.mark.parametrize("payload", [
    b"", b"1", b"[]", b"{}", b"null", b"{", b'{"value":1}x', b"\xef\xbb\xbf" + b'{"value":1}',
    b'{"value":"1"}', b'{"value":null}', b'{"value":true}', b'{"value":NaN}',
    b'{"value":Infinity}', b'{"value":1e999}', b'{"value":01}', b'{"value":1.}', b'{"value":.5}',
    b'{"value":1,"value":2}', b'{"value":1,"unit":"C"}', b'{"timestamp":"2023-10-27T10:00:00Z"}',
    b'{"value":1,"timestamp":1698400800}', b'{"value":1,"timestamp":"2023-10-27 10:00:00Z"}',
    b'{"value":1,"timestamp":"2023-10-27T10:00:00"}',
    b'{"value":1,"timestamp":"2023-10-27T10:00:00+00:00"}',
    b'{"value":1,"timestamp":"2023-10-27T10:00:00.1000Z"}',
    b'{"value":1,"timestamp":"2023-02-29T10:00:00Z"}',
    b'{"value":1,"timestamp":"2023-10-27T24:00:00Z"}',
    b'{"value":1,"battery_voltage":"3.7"}', b'{"value":1,"sensor_slug":"\xff"}',
])
def test_refuses_other_single_readings(payload):
    with pytest.raises(contract.Violation):
        contract.check(SINGLE, payload)


@pytest.mark.parametrize("payload", [
    b"[]", b"{}", b'{"data":[]}', b'{"data":{}}', b'{"data":[1]}', b'{"data":[{"value":1}]}',
    b'{"data":[{"sensor_slug":"a"}]}', b'{"data":[{"sensor_slug":"","value":1}]}',
    b'{"data":[{"sensor_slug":1,"value":1}]}', b'{"data":[{"sensor_uuid":"a","value":1}]}',
    b'{"data":[{"sensor_slug":"a","value":"1"}]}',
    b'{"data":[{"sensor_slug":"a","value":1,"timestamp":"2023-10-27T10:00:00Z"}]}',
    b'{"data":[{"sensor_slug":"a","value":1}],"timestamp":"2023-10-27T10:00:00Z"}',
    b'{"data":[{"sensor_slug":"a","value":1},{"sensor_slug":"a","value":2}]}',
    b'{"data":[{"sensor_slug":"a","value":1,"sensor_uuid":'
    b'"7a8b9c0d-1234-5678-90ab-cdef12345678"}]}',
    b'{"data":[{"sensor_slug":"a","value":1}],"battery_voltage":null}',
])
def test_refuses_other_batches(payload):
    with pytest.raises(contract.Violation):
        contract.check(BATCH, payload)


@pytest.mark.parametrize("payload", [
    b"[]", b"{}", b"[1]", b'[{"value":1}]', b'[{"timestamp":"2023-10-27T10:00:00Z"}]',
    b'[{"value":1,"timestamp":"2023-10-27T10:00:00Z","battery_voltage":3.7}]',
])
def test_refuses_other_history(payload):
    with pytest.raises(contract.Violation):
        contract.check(HISTORY, payload)


def test_refuses_history_by_slug():
    with pytest.raises(contract.Violation):
        contract.check(f"{BATCH}/sensors/temp_01",
                       b'[{"value":1,"timestamp":"2023-10-27T10:00:00Z"}]')
