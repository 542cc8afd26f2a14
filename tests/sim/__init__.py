"""Stand-ins for the outside world: small stdlib programs that tests start and people run by hand."""
