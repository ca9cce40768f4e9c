"""The page, and what the browser lets it do: run the scripts that it came with, and talk to this server."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection
from importlib.resources import files

__all__ = ["load_page", "security_headers"]


def load_page(name: str = "page.html") -> str:
    """A page, one file with its style and script: that of a live session, or "drive.html"."""
    return files("striate.live").joinpath(name).read_text(encoding="utf-8")


def security_headers(page: str, hosts: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """Headers for every answer of the server.

    Parameters
    ----------
    page : str
        Its inline scripts and styles are allowed by their hashes, so that nothing that is put into it later runs.
    hosts : collection of bytes
        What Host may be. Some browsers do not take "self" to include WebSockets.
    """
    # A policy cannot name addresses of IPv6; "self" is enough for browsers of this decade.
    sockets = " ".join(sorted(f"ws://{host.decode()}" for host in hosts if not host.startswith(b"[")))
    policy = (
        "default-src 'none'; "
        f"script-src {_hashes(page, 'script')}; style-src {_hashes(page, 'style')}; "
        f"img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' {sockets}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",  # the address has the token in it
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(self), microphone=(), geolocation=()",
        "cache-control": "no-store",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _hashes(page: str, element: str) -> str:
    """The hashes of the contents of all elements of a name, as a policy states them."""
    contents = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
