"""Live: a local page with a camera, on which classes are learned while one looks; the extra ``live``.

`features` has the features that ship, and `recipe` how they were learned; `samples` keeps the folder of classes,
`session` turns frames into answers, `server` connects the page. `drive_view` shows a robot's drive
on a page of its own. Nothing here is loaded before it is used, since the
server needs packages of the extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import homes, lazy_names

if TYPE_CHECKING:
    from striate.live.drive_view import DriveView
    from striate.live.features import LiveFeatures, load_features
    from striate.live.frames import decode_frame, encode_frame
    from striate.live.knowledge import Classifier, Features
    from striate.live.page import load_page
    from striate.live.samples import SampleFolder
    from striate.live.server import LiveServer
    from striate.live.serving import listen, serve
    from striate.live.session import LiveSession
    from striate.live.sources import Source, open_source

__all__ = [
    "SampleFolder",
    "Features",
    "Classifier",
    "LiveFeatures",
    "load_features",
    "decode_frame",
    "encode_frame",
    "LiveSession",
    "Source",
    "open_source",
    "load_page",
    "LiveServer",
    "DriveView",
    "listen",
    "serve",
]

_HOME = homes(
    __name__,
    {
        "samples": "SampleFolder",
        "features": "LiveFeatures load_features",
        "frames": "decode_frame encode_frame",
        "knowledge": "Features Classifier",
        "session": "LiveSession",
        "sources": "Source open_source",
        "page": "load_page",
        "server": "LiveServer",
        "drive_view": "DriveView",
        "serving": "listen serve",
    },
)

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
