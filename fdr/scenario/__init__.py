"""The scenario file: YAML in, a checked Scenario out. ``load`` is the door."""
