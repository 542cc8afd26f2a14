"""Keys, tokens and passwords by their shape: masked before a text is shown, kept, logged or sent to the cloud."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

# Each row: what must be in the lower-cased text for the pattern to be tried, the pattern, what replaces it.
_SECRETS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "private key-",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*KEY(?: BLOCK)?-----|\Z)"
        ),
        "***",
    ),
    ("://", re.compile(r"(://[^\s/:@]{0,100}:)[^\s/@]{1,200}@"), r"\1***@"),
    ("bearer", re.compile(r"\b(bearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE), r"\1***"),
    ("sk-", re.compile(r"\b(sk-)[\w-]{8,}"), r"\1***"),
    ("pk-", re.compile(r"\b(pk-)[\w-]{16,}"), r"\1***"),
    ("_live_", re.compile(r"\b([rsp]k_live_)\w{8,}"), r"\1***"),
    ("_test_", re.compile(r"\b([rsp]k_test_)\w{16,}"), r"\1***"),
    ("whsec_", re.compile(r"\b(whsec_)[\w/+=]{16,}"), r"\1***"),
    ("mnfst_", re.compile(r"\b(mnfst_)[\w-]{6,}"), r"\1***"),
    ("gh", re.compile(r"\b(gh[pousr]_)\w{8,}"), r"\1***"),
    ("github_pat_", re.compile(r"\b(github_pat_)\w{8,}"), r"\1***"),
    ("glpat-", re.compile(r"\b(glpat-)[\w-]{8,}"), r"\1***"),
    ("xox", re.compile(r"\b(xox[abeoprs]-)[\w-]{8,}"), r"\1***"),
    ("hooks.slack.com", re.compile(r"(hooks\.slack\.com/services/)[\w/]{20,}"), r"\1***"),
    ("akia", re.compile(r"\b(AKIA)[A-Z0-9]{12,}"), r"\1***"),
    ("asia", re.compile(r"\b(ASIA)[A-Z0-9]{12,}"), r"\1***"),
    ("aiza", re.compile(r"\b(AIza)[\w-]{20,}"), r"\1***"),
    ("ya29.", re.compile(r"\b(ya29\.)[\w-]{20,}"), r"\1***"),
    ("hf_", re.compile(r"\b(hf_)[A-Za-z0-9]{8,}"), r"\1***"),
    ("gsk_", re.compile(r"\b(gsk_)[A-Za-z0-9]{20,}"), r"\1***"),
    ("xai-", re.compile(r"\b(xai-)[A-Za-z0-9]{20,}"), r"\1***"),
    ("npm_", re.compile(r"\b(npm_)[A-Za-z0-9]{12,}"), r"\1***"),
    ("pypi-", re.compile(r"\b(pypi-)[\w-]{16,}"), r"\1***"),
    ("eyj", re.compile(r"\b(eyJ)[\w-]{6,}(?:\.[\w-]*){1,2}"), r"\1***"),
    ("sg.", re.compile(r"\b(SG\.)[\w-]{16,}\.[\w-]{16,}"), r"\1***"),
    ("key-", re.compile(r"\b(key-)[0-9a-f]{32}\b"), r"\1***"),
    ("sk", re.compile(r"\b(SK)[0-9a-f]{32}\b"), r"\1***"),
    ("dop_v1_", re.compile(r"\b(dop_v1_)[0-9a-f]{32,}"), r"\1***"),
    ("shp", re.compile(r"\b(shp(?:at|ca|pa|ss)_)[0-9a-fA-F]{16,}"), r"\1***"),
    ("hvs.", re.compile(r"\b(hvs\.)[\w-]{20,}"), r"\1***"),
    ("dapi", re.compile(r"\b(dapi)[0-9a-f]{32}\b"), r"\1***"),
    ("lin_api_", re.compile(r"\b(lin_api_)\w{20,}"), r"\1***"),
    ("glsa_", re.compile(r"\b(glsa_)\w{20,}"), r"\1***"),
    ("tskey-", re.compile(r"\b(tskey-)[\w-]{16,}"), r"\1***"),
    ("age-secret-key-", re.compile(r"\b(AGE-SECRET-KEY-1)[0-9A-Z]{20,}", re.IGNORECASE), r"\1***"),
    ("accountkey=", re.compile(r"(AccountKey=)[\w+/=]{20,}", re.IGNORECASE), r"\1***"),
    (":aa", re.compile(r"\b(\d{8,10}:AA)[\w-]{30,}"), r"\1***"),
    (".", re.compile(r"\b([MNO])[\w-]{22,27}\.[\w-]{6}\.[\w-]{27,40}"), r"\1***"),
)
_NAMES = ("key", "secret", "token", "passw", "credential")
_NAMED = re.compile(
    r"((?:api[_-]?key|secret|token|passwd|password)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?!\*\*\*)[^\s\"',;]{6,}",
    re.IGNORECASE,
)
_NAMED_VARIABLE = re.compile(
    r"\b([A-Z][A-Z0-9_]*(?:KEY|SECRET|TOKEN|PASSW(?:OR)?D|CREDENTIALS?)[A-Z0-9_]*=)(?!\*\*\*)[^\s\"'$(,;]{6,}"
)
# In code, `token = next_token()` is no secret: only a literal in quotes is, or a line of the form NAME=value.
_NAMED_LITERAL = re.compile(
    r"((?:key|secret|token|passwd|password|credentials?)[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}[\"'`])(?!\*\*\*)"
    r"(?=[^\s\"'`]{0,200}[\d+/_-])[^\s\"'`]{8,200}(?=[\"'`])",
    re.IGNORECASE,
)
_NAMED_LINE = re.compile(
    r"^([+ -]?(?:export )?[A-Z][A-Z0-9_]*(?:KEY|SECRET|TOKEN|PASSW(?:OR)?D|CREDENTIALS?)[A-Z0-9_]*=)"
    r"(?!\*\*\*)[^\s\"'$(]{6,}",
    re.MULTILINE,
)
_SECRET_FILE = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example$|sample$|template$|dist$)[^/]*)?|\.netrc|\.pgpass|\.htpasswd|\.npmrc|\.pypirc"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)[^/.]*|[^/]*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk))$",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """`text` with everything that is shaped like a key, token or password masked."""
    lowered = text.lower()
    text = _shapes(text, lowered)
    if any(name in lowered for name in _NAMES):
        text = _NAMED_VARIABLE.sub(r"\1***", _NAMED.sub(r"\1***", text))
    return text


def masked_code(text: str) -> str:
    """The same for code: of what is only named like a secret, literal values are masked, so that code stays code."""
    lowered = text.lower()
    text = _shapes(text, lowered)
    if any(name in lowered for name in _NAMES):
        text = _NAMED_LITERAL.sub(r"\1***", text)
        text = _NAMED_LINE.sub(r"\1***", text)
    return text


def masked_json(body: bytes) -> bytes | None:
    """A JSON document with its texts masked, as it came where there was nothing to mask; None for what is no JSON."""
    try:
        document = msgspec.json.decode(body)
        shown = _masked_in(document)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return body if shown == document else msgspec.json.encode(shown)


def _masked_in(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        return [_masked_in(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _masked_in(item) for name, item in cast("dict[str, Any]", value).items()}
    return value


def is_secret_file(path: str) -> bool:
    """Whether a file of this name is there to hold secrets, and so is never shown."""
    return _SECRET_FILE.search(path) is not None


def _shapes(text: str, lowered: str) -> str:
    for sign, pattern, shown in _SECRETS:
        if sign in lowered:
            text = pattern.sub(shown, text)
    return text
