"""What ends a process politely, as a system that shuts down does, ends a command as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["end_as_interrupt", "exit_code"]

_received = signal.SIGINT


@contextmanager
def end_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt what runs, so that it keeps what it has and says where."""
    global _received
    _received = signal.SIGINT
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: Any) -> None:
        global _received
        _received = signal.Signals(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Under nohup, for one, they are ignored.
    before = {
        number: signal.signal(number, interrupt) for number in numbers if signal.getsignal(number) == signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code() -> int:
    """128 and the number of the signal that interrupted, as shells expect it."""
    return 128 + _received
