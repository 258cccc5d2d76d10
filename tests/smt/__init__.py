"""Tests of `oom_smt`."""
