# SPDX-License-Identifier: Apache-2.0
"""Peers on the same workload in the same run, as far as they are installed."""

import shutil

from figures import Row, per_10000, settle
from measure import Usage, rss_kib
from world import REGISTERS, TENANT, World, net, wait
from world import Process


def collectd_config(directory, slave_port, broker_port):
    data = "\n".join(
        f'<Data "r{i}">\nRegisterBase {i}\nRegisterType Uint16\nRegisterCmd ReadHolding\n'
        f'Type gauge\nInstance "r{i}"\n</Data>' for i in range(REGISTERS))
    collect = "\n".join(f'Collect "r{i}"' for i in range(REGISTERS))
    slaves = "\n".join(f'<Slave {unit}>\nInstance "u{unit}"\n{collect}\n</Slave>'
                       for unit in range(1, 11))
    return f"""Hostname "bench"
FQDNLookup false
Interval 1
BaseDir "{directory}"
PIDFile "{directory}/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin modbus
LoadPlugin mqtt
<Plugin modbus>
{data}
<Host "slave">
Address "{net.HOST}"
Port "{slave_port}"
Interval 1
{slaves}
</Host>
</Plugin>
<Plugin mqtt>
<Publish "broker">
Host "{net.HOST}"
Port {broker_port}
ClientId "collectd-bench"
Prefix "tenant/{TENANT}"
QoS 1
</Publish>
</Plugin>
"""


def collectd(build, plan, directory):
    """Workload W with collectd, where it is installed: no journal, a message a reading."""
    program = shutil.which("collectd", path="/usr/sbin:/usr/bin")
    if not program:
        print("collectd: skipped, not installed (package collectd-core)")
        return
    with World(build, directory / "collectd") as world:
        config = world.directory / "collectd.conf"
        config.write_text(collectd_config(world.directory, world.slave.port, world.broker.port))
        peer = Process(world.directory / "collectd.log")
        try:
            peer.launch([program, "-f", "-C", str(config)])
            wait.until(lambda: peer.running() and world.counter.totals()["live"]["messages"], 20,
                       lambda: f"readings arrive; {peer.log()[-1000:]}")
            settle(plan.warm_up_s)
            before, counted = Usage(peer.pid), world.counter.totals()
            settle(plan.short_s)
            spent, now = Usage(peer.pid).since(before), world.counter.totals()
            seconds = (now["now_ns"] - counted["now_ns"]) / 1e9
            readings = now["live"]["messages"] - counted["live"]["messages"]
            yield Row("collectd: CPU for 10,000 readings", per_10000(spent.cpu_s, readings), "s",
                      note=f"{readings / seconds:.0f} readings/s, {rss_kib(peer.pid) / 1024:.1f} MB,"
                           f" {spent.wakeups / seconds:.0f} wakeups/s")
        finally:
            peer.close()


PEERS = {"collectd": collectd}
