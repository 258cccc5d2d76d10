"""The conformance suite: to come. It will test implementations against the specification."""
