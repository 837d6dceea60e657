"""Pure values and decisions: no await, no clock reads, no I/O, no logging. Everything here is driven by `now`."""
