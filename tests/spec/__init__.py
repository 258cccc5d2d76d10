"""Tests of the specification language, the lifting, the explorer and the protocol's verdicts."""
