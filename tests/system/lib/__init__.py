# SPDX-License-Identifier: Apache-2.0
"""What system tests, benchmarks and the quickstart are made of: a broker, a slave, a gateway, a
subscriber, and a ledger of what arrived."""
