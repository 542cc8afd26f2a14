"""What must be survived, row by row, around the real daemon. `make faults` runs all of it and writes docs/faults.md."""
