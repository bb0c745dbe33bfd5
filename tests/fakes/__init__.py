"""Fakes that keep the contracts of the real things."""
