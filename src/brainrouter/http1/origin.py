"""Where an upstream lives."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of an upstream, or the path of its Unix socket. Hashable; one pool each."""

    scheme: str
    host: str
    port: int
    unix: str | None = None
    key: str = field(init=False, repr=False, compare=False)
    authority: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"
        object.__setattr__(self, "authority", authority.encode("ascii"))
        object.__setattr__(self, "key", f"{self.scheme}://{authority} {self.unix or ''}")

    @classmethod
    def parse(cls, url: str) -> tuple["Origin", str]:
        """The origin of `url` and its path without a slash at the end. Raises ValueError that says what is wrong."""
        if not url.isascii() or any(char <= " " or char in '\\"<>^`{|}\x7f' for char in url):
            message = (
                "a URL may not hold spaces, control characters, quotes, backslashes or non-ASCII letters"
            )
            raise ValueError(message)
        parts = urlsplit(url)
        if parts.scheme not in PORTS:
            message = f"a URL must begin with http:// or https://, not {parts.scheme or 'nothing'}"
            raise ValueError(message)
        if "@" in parts.netloc:
            message = "a URL may not hold a user name or password; keys have their own setting"
            raise ValueError(message)
        if parts.query or parts.fragment or url.endswith(("?", "#")):
            message = "a base URL may not have a query or a fragment"
            raise ValueError(message)
        host = parts.hostname
        if not host:
            message = "a URL needs a host"
            raise ValueError(message)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0 or (port is None and parts.netloc.endswith(":")):
            message = "a URL's port must be a number from 1 to 65535"
            raise ValueError(message)
        return cls(parts.scheme, host, port or PORTS[parts.scheme]), parts.path.rstrip("/")
