"""Small real videos with a known content, by OpenCV's own encoder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE_WH = (64, 48)


def brightness(index: int) -> int:
    """Of frame `index`: known, and far enough from its neighbours to survive compression."""
    return 20 + 37 * index % 200


def write_video(path: Path, frames: int = 30, fps: float = 10.0) -> Path:
    """An MJPEG or MPEG-4 video whose frames have known brightnesses."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, SIZE_WH)
    for index in range(frames):
        writer.write(np.full((SIZE_WH[1], SIZE_WH[0], 3), brightness(index), np.uint8))
    writer.release()
    return path


def brightnesses(path: Path) -> list[float]:
    """Of the frames of a video, read by OpenCV alone."""
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(float(read[1].mean()))
    return found
