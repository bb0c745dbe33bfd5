"""Probes, for cron: every protocol of every RSE tried by hand, and a copy between every two RSEs by FTS."""
