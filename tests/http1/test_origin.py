"""Which URLs name an upstream."""

from __future__ import annotations

import pytest

from brainrouter.http1.origin import Origin


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://localhost:3001/v1", Origin("http", "localhost", 3001), "/v1", b"localhost:3001"),
        ("http://localhost:3001/v1/", Origin("http", "localhost", 3001), "/v1", b"localhost:3001"),
        ("http://Example.COM", Origin("http", "example.com", 80), "", b"example.com"),
        ("https://example.com/", Origin("https", "example.com", 443), "", b"example.com"),
        ("https://example.com:8443/a/b", Origin("https", "example.com", 8443), "/a/b", b"example.com:8443"),
        ("http://[::1]:80/v1", Origin("http", "::1", 80), "/v1", b"[::1]"),
        ("HTTP://127.0.0.1:9", Origin("http", "127.0.0.1", 9), "", b"127.0.0.1:9"),
    ],
)
def test_a_base_url_is_an_origin_and_a_path(url: str, origin: Origin, path: str, authority: bytes):
    assert Origin.parse(url) == (origin, path)
    assert Origin.parse(url)[0].authority == authority


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with"),
        ("localhost:3001", "must begin with"),
        ("ftp://a/", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("unix:/run/x", "must begin with"),
        ("http://", "needs a host"),
        ("http:///v1", "needs a host"),
        ("http://user@host/", "user name"),
        ("http://user:key@host/", "user name"),
        ("http://host:0/", "port"),
        ("http://host:/", "port"),
        ("http://host:65536/", "port"),
        ("http://host:x/", "port"),
        ("http://host/?a=b", "query"),
        ("http://host/#a", "query"),
        ("http://host/?", "query"),
        ("http://ho st/", "spaces"),
        ("http://host/\r\nx: y", "spaces"),
        ("http://host\\@evil/", "backslashes"),
        ("http://h\u00f6st/", "non-ASCII"),
        ("http://[::1/", "IPv6"),
    ],
)
def test_any_other_url_is_refused_with_words_that_say_why(url: str, words: str):
    with pytest.raises(ValueError, match=words):
        Origin.parse(url)


def test_origins_with_the_same_host_and_another_socket_have_pools_of_their_own():
    keys = {
        origin.key
        for origin in (
            Origin("http", "a", 80),
            Origin("http", "a", 81),
            Origin("https", "a", 80),
            Origin("http", "a", 80, unix="x"),
        )
    }
    assert len(keys) == 4
