"""Speed, measured: every module here that defines ``rows(rounds)`` is run by ``python -m bench.run``."""
