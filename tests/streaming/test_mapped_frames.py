"""Frames in files that are mapped into the memory, which may shrink while they are read."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

PROGRAM = """
    import os, sys
    import numpy as np
    from edgevision.testing.models import fake_classifier
    frame = np.memmap("frames.bin", np.uint8, "w+", shape=(512, 512, 3))
    frame[:] = 7
    whole = np.array(frame)
    model = fake_classifier(("a", "b"), lambda image: [0.25, 0.75])
    print([answered.index for answered, _ in model.stream([frame[2:], whole])])
    os.truncate("frames.bin", 0)
    print([answered.index for answered, _ in model.stream([frame[2:], whole])])
"""


def test_a_frame_in_a_file_that_has_shrunk_is_left_out_alone_and_does_not_kill_the_process(
    tmp_path: Path,
) -> None:
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[0, 1]", "[1]"]
