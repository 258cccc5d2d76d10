"""Everything that asks Z3. `oom_smt.z3_api` alone imports z3."""
