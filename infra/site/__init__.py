"""Airflow at a centre: its settings, its processes and how to talk to it."""
