# SPDX-License-Identifier: Apache-2.0
"""Helpers for tests that run in the machine of the lab: its hardware, its services, its network.

Besides, `lib` of the system tests is there: brokers, slaves, subscribers, ledgers.
"""
