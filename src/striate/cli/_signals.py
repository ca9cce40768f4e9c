"""Signals that ask a process to end are handled as Ctrl-C."""

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
    """Let SIGTERM and SIGHUP interrupt a command, so that it saves its work and tells where."""
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
    # A signal that is ignored already, as under nohup, stays ignored.
    before = {
        number: signal.signal(number, interrupt) for number in numbers if signal.getsignal(number) == signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code() -> int:
    """128 plus the number of the signal, as shells expect it."""
    return 128 + _received
