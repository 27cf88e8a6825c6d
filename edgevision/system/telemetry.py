"""Import a runtime or another library without its telemetry: no identifier written, no server contacted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from edgevision.system.hidden_module import hidden_module

#: Environment variable -> value with which a library sends nothing. ONNX Runtime reads its own while it is
#: imported: it writes a device id into the home folder at once, and connects some seconds later, so that its
#: function `disable_telemetry_events` comes too late. Child processes inherit the variable.
_VARIABLES = {"ORT_DISABLE_TELEMETRY": "1"}
#: Absent while OpenVINO or NNCF is imported, which then use stubs of their own. Otherwise the import writes a
#: client id to the home folder and connects to a server; the documented opt-out is a file in the home folder,
#: which only the user may write.
_MODULE = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Import libraries in this block: those that are known to send telemetry then send none, ever."""
    os.environ.update(_VARIABLES)
    with hidden_module(_MODULE):
        yield
