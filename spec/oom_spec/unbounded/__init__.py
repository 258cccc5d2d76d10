"""Worlds of any size: steps lifted for nameless objects, and the ground obligations of inductive proofs."""
