#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Called by `meson install`: puts the default configuration where there is none yet.
set -eu
target=${DESTDIR:-}$2/gateway.yaml
if [ -e "$target" ]; then
	echo "Keeping $target"
else
	install -D -m 0644 "$1" "$target"
fi
