"""Airflow files: one DAG per site folder."""
