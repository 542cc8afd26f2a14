"""Header names in lower case, remembered: clients and upstreams say few different ones."""

_KNOWN_MAX = 1024
_SESSION = b"session_id"  # pi and older Codex send it; mistaken for `session-id` it still says the same


class Names(dict[bytes, bytes]):
    """`names[name]` is the lower-case name; empty when it holds an `_`, which proxies and CGI take for a `-`;
    one name that harnesses send is let through.

    Measured: looking one up costs a tenth of looking for an underscore. Bounded, so that made-up names cannot fill the
    memory.
    """

    def __missing__(self, name: bytes) -> bytes:
        low = name.lower()
        if b"_" in low and low != _SESSION:
            low = b""
        if len(self) < _KNOWN_MAX:
            self[name] = low
        return low


names = Names()
