"""The protocol: the kernel's objects and actors, as in v4.12, the release of the mail."""
