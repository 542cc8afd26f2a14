"""How deep is too deep for every Python: up to 3.13 its calls are counted, 3.14 looks how much of its stack is left."""

DEEP = 1_000_000
