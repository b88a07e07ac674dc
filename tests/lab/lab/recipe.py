# SPDX-License-Identifier: Apache-2.0
"""What the image consists of. A change here makes a new image."""

SUITE = "bookworm"
KERNEL = "linux-image-amd64"
# Empty space included: the file is sparse.
ROOT_SIZE = 1 << 30

PACKAGES = [
    # the machine
    "systemd", "systemd-sysv", "systemd-timesyncd", "udev", "dbus", "kmod", "mount", "procps",
    "iproute2", "e2fsprogs", "netbase", "less",
    # what the gateway is linked to, and what its README does not ask for is not there
    "libyaml-0-2", "libsqlite3-0", "libmosquitto1", "libssl3", "libsystemd0", "libjson-c5",
    "libmodbus5", "libsocketcan2",
    # what tests use
    "can-utils", "i2c-tools", "mosquitto", "mosquitto-clients", "sqlite3", "strace", "python3",
    "python3-can", "python3-paho-mqtt", "python3-pytest", "python3-smbus2", "ethtool",
]

# In the initrd: what it takes to reach the root file system.
EARLY_MODULES = ["virtio_pci", "virtio_blk", "ext4"]
MODULES = EARLY_MODULES + [
    "virtio_console", "virtio_net", "virtio_rng", "9pnet_virtio", "9p", "loop", "dm-mod",
    "dm-flakey", "dm-log-writes", "overlay", "tun", "dummy", "veth", "sch_netem", "sch_tbf",
    "can", "can-raw", "can-bcm", "can-gw", "can-isotp", "can-j1939", "can-dev", "vcan", "vxcan",
    "slcan", "sja1000", "kvaser_pci",
    "i2c-dev", "i2c-stub", "i2c-i801", "i2c-tiny-usb", "usbcore", "usbip-core", "vhci-hcd",
    "lm75", "at24", "i6300esb", "rtc-cmos",
]

# Stock Debian needs 25 s under emulation; without these it is a quarter of that. Nothing of it is
# what a test is about. modprobe@.service stays: the unit of the gateway may ask for it.
MASKED_UNITS = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "getty.target", "getty@.service",
    "serial-getty@.service", "ldconfig.service", "systemd-binfmt.service",
    "systemd-boot-system-token.service", "systemd-firstboot.service", "systemd-fsck-root.service",
    "systemd-hwdb-update.service", "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service", "systemd-logind.service", "systemd-machine-id-commit.service",
    "systemd-network-generator.service", "systemd-pcrphase.service",
    "systemd-pcrphase-initrd.service", "systemd-pcrphase-sysinit.service", "systemd-pstore.service",
    "systemd-random-seed.service", "systemd-remount-fs.service", "systemd-repart.service",
    "systemd-rfkill.service", "systemd-sysext.service", "systemd-tmpfiles-clean.timer",
    "systemd-update-done.service", "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service", "systemd-user-sessions.service",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "proc-sys-fs-binfmt_misc.automount",
]
# There, and not started: tests do that.
DISABLED_UNITS = ["mosquitto.service", "systemd-timesyncd.service"]
