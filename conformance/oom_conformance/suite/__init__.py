"""The tests that ``pytest --pyargs oom_conformance`` collects."""
