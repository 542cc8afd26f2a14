"""When is a client gone?

`connection_lost` is certain. An EOF is not: after a close() and after shutdown(SHUT_WR) the same FIN arrives. A harness
never half-closes, and its leaving must reach the upstream within 50 ms; `nc` half-closes and wants its answer. So, when
a request is in flight at EOF:
- on a Unix socket poll() tells the two apart at once;
- on TCP the answer has PROBE_S to finish. Then something is written that a living client skips: before any head
  `100 Continue`, inside a chunked stream a leading zero of the next chunk's size. A closed socket answers it with a
  reset, which shows in poll() PROBE_S later; a half-closed one does not. A client farther away than that is found by
  the sweep;
- HTTP/1.0 knows neither: there EOF means gone.
"""

import select
import socket
import struct

from brainrouter.http1.message import Peer

PROBE_S = 0.01
_RESET = struct.pack("ii", 1, 0)


def hung_up(peer: Peer) -> bool:
    """True when the other end is closed in both directions, as far as the kernel knows yet."""
    poller = select.poll()
    try:
        poller.register(peer.socket.fileno(), 0)
    except (OSError, ValueError):
        return True
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poller.poll(0))


def reset_on_close(peer: Peer) -> None:
    """Make the coming close a reset: for an answer whose end is the connection's end, a FIN would look whole."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
