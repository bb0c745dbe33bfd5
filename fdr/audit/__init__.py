"""An audit of a run: its journal against Rucio against the storages. ``command.audit_run`` is the door."""
