# SPDX-License-Identifier: Apache-2.0
"""The host's side of the lab: its image, its machines, its disks. docs/lab.md is the way in."""

from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
