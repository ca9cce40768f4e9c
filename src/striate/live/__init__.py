"""Live: a local page with a camera, on which classes are learned while one looks; the extra ``live``.

`samples` keeps the folder of classes, `session` turns frames into answers, `server` connects the page. Nothing here is
loaded before it is used, since the server needs packages of the extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.live.samples import SampleFolder
    from striate.live.server import LiveServer
    from striate.live.session import LiveSession
    from striate.live.sources import open_source

__all__ = ["SampleFolder", "LiveSession", "LiveServer", "open_source"]

_HOME = homes(
    __name__,
    {"samples": "SampleFolder", "session": "LiveSession", "server": "LiveServer", "sources": "open_source"},
)

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
