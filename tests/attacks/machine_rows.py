"""A15 and later: the machine around the daemon, its files, its other users, its command line."""

ROWS = ()
