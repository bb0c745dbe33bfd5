"""The sections of a report: each a function from a run's numbers to plain values."""
