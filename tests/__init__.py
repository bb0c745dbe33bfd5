"""Tests of fdr."""
