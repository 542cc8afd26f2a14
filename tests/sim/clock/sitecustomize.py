"""A wall clock that jumps. On PYTHONPATH of a daemon; SIM_CLOCK names a file that holds how many seconds it is off.

Python's two readings of the wall clock are moved, time.time() and datetime.now(); the monotonic clock is not, as it is
when somebody sets the clock of a machine.
"""

import contextlib
import datetime
import os
import time

_real_time = time.time
_real_datetime = datetime.datetime


def off() -> float:
    with contextlib.suppress(OSError, ValueError), open(os.environ["SIM_CLOCK"], encoding="ascii") as file:
        return float(file.read())
    return 0.0


class Jumping(_real_datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Jumping":
        return cls.fromtimestamp(_real_time() + off(), tz)


if "SIM_CLOCK" in os.environ:
    time.time = lambda: _real_time() + off()
    datetime.datetime = Jumping  # type: ignore[misc]
