"""What signal-cli pushes, read: who wrote what, and where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Incoming:
    """A text somebody wrote. `sender` is every name we know of them; `group` is None in a direct conversation.

    `to_self` says that the account's owner wrote it as a note to self, on another device.
    """

    sender: tuple[str, ...]
    group: str | None
    text: str
    timestamp: int
    to_self: bool = False


class _Group(msgspec.Struct):
    groupId: str = ""


class _Data(msgspec.Struct):
    message: str | None = None
    timestamp: int = 0
    groupInfo: _Group | None = None


class _Sent(_Data):
    destination: str | None = None
    destinationNumber: str | None = None
    destinationUuid: str | None = None


class _Sync(msgspec.Struct):
    sentMessage: _Sent | None = None


class _Envelope(msgspec.Struct):
    source: str | None = None
    sourceNumber: str | None = None
    sourceUuid: str | None = None
    timestamp: int = 0
    dataMessage: _Data | None = None
    syncMessage: _Sync | None = None


class _Params(msgspec.Struct):
    envelope: _Envelope | None = None
    account: str | None = None
    result: _Params | None = None


def read(params: Any, account: str) -> Incoming | None:
    """The text in the parameters of a `receive` notification, plain or wrapped by a subscription; else None.

    Receipts, typing, reactions, edits, calls and what the owner wrote to others are None.
    """
    try:
        found = msgspec.convert(params, _Params)
    except msgspec.ValidationError:
        return None
    found = found.result or found
    envelope = found.envelope
    if envelope is None or found.account not in (None, account):
        return None
    names = [name for name in (envelope.sourceUuid, envelope.sourceNumber, envelope.source) if name]
    sender = tuple(dict.fromkeys(names))
    if not sender:
        return None
    if envelope.dataMessage is not None:
        return _incoming(envelope.dataMessage, sender, to_self=False)
    sent = envelope.syncMessage.sentMessage if envelope.syncMessage else None
    if sent is None:
        return None
    to = {sent.destination, sent.destinationNumber, sent.destinationUuid}
    to_self = not to.isdisjoint((*sender, account))
    if sent.groupInfo is None and not to_self:
        return None
    return _incoming(sent, sender, to_self=to_self)


def _incoming(data: _Data, sender: tuple[str, ...], *, to_self: bool) -> Incoming | None:
    if not data.message or not data.timestamp:
        return None
    group = data.groupInfo.groupId if data.groupInfo else None
    return Incoming(sender, group, data.message, data.timestamp, to_self)
