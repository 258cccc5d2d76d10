"""The command `oomspec`."""
