"""What the commands with a page of this computer share: its packages, its token and its address."""

from __future__ import annotations

import os
import secrets
import threading
import webbrowser
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import quote

from striate.lazy import needs

if TYPE_CHECKING:
    from socket import socket

__all__ = ["TOKEN_VARIABLE", "address_of", "check_packages", "new_token", "open_page"]

TOKEN_VARIABLE = "STRIATE_LIVE_TOKEN"


def check_packages(what: str) -> None:
    """Raise an error that names the extra if a package of it is missing."""
    for module in ("fastapi", "uvicorn", "websockets"):
        with needs(module, "live", f"{what} needs {module}"):
            import_module(module)


def new_token() -> str:
    """What the address has in it: that of the environment, or a random one."""
    return os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)


def address_of(host: str, bound: socket, token: str) -> str:
    """The address of the page."""
    port = bound.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={quote(token, safe='')}"


def open_page(address: str) -> None:
    """Open the page in the browser; in a thread, since some browsers run in the terminal."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
