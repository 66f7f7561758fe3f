"""Attacks on what a consortium publishes: `python -m infra.attacks` writes the attack report.

Each attack knows what a determined insider could know, asks only what anybody may ask, and runs
twice: on bare numbers, where it has to succeed, and on what the real policy, coordinator and
ledgers let out, where it must not.
"""
