"""Dependent rows: tests whose variance comes from the reference's own blocks, customers, windows.

Rows of a stream hang together (a customer, a day, a campaign), and then a test for independent
rows alarms 3 to 66 times too often. `plan_dependence` says which correction a reference asks for,
`dependent_test` applies it to a window.
"""

from drift.dependence.block_hotelling import Verdict, block_hotelling
from drift.dependence.blocks import block_length, merge_blocks
from drift.dependence.customers import Customers, Repeats, customer_test
from drift.dependence.dependent_test import Dependent, dependent_test
from drift.dependence.plan import Plan, plan_dependence
from drift.dependence.window_scale import window_scale

__all__ = [
    "Customers",
    "Dependent",
    "Plan",
    "Repeats",
    "Verdict",
    "block_hotelling",
    "block_length",
    "customer_test",
    "dependent_test",
    "merge_blocks",
    "plan_dependence",
    "window_scale",
]
