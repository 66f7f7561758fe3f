"""Flower as real processes on loopback."""
