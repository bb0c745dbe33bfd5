"""Noise between all RSEs, for cron: a file at each and a rule to every other, again and again."""
