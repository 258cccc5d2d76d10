"""The conformance suite: tests implementations of the protocol against the specification.

`interface` says what an implementation is; `lockstep` runs it beside the specification, one action at a
time; `reference` is an implementation in the shape of the kernel's code; `scheduling` and `machine`
choose what runs next.
"""
