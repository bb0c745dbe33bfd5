"""Tests of the embedded lake."""
