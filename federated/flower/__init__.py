"""Thin adapters between the federated protocol and Flower: the only place that imports `flwr`."""
