# SPDX-License-Identifier: Apache-2.0
"""A small network of namespaces on one machine to run sluiced in: see plan.py for its picture."""
