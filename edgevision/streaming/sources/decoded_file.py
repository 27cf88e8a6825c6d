"""Video files by PyAV (extra ``video``), which tells damage from an end, and each picture's own form."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from edgevision.errors import StreamBrokenError, StreamError, first_line
from edgevision.frame_source import CapturedImage
from edgevision.imaging.decode import max_pixels
from edgevision.streaming.sources.recording import check_size, is_far_short
from edgevision.system.av_pictures import Pictures
from edgevision.system.reading import open_file

#: A playlist under the name of a video could name other addresses.
_OPTIONS = {"protocol_whitelist": "file"}


class DecodedFileReader:
    """An open video file.

    Args:
        av: the module.
        path: the file.

    Raises:
        OSError: it cannot be read.
        StreamError: it is not a video, or its frames are too large.
    """

    live = False

    def __init__(self, av: Any, path: Path) -> None:
        self.name = str(path)
        self._av = av
        self._file = open_file(path)
        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = self._av.open(self._file, options=_OPTIONS)
        except Exception as error:  # FFmpeg's, of many kinds
            self._file.close()
            reason = getattr(error, "strerror", None) or first_line(error)
            raise StreamError(
                f"{path}: no video that can be opened ({reason}); if it is cut off or of another format, "
                "convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
            ) from None
        if not self._container.streams.video:
            self._close()
            raise StreamError(f"{path}: has no video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._pictures = Pictures()
        context = self._stream.codec_context
        try:
            check_size(path, context.width, context.height)
        except StreamError:
            self._close()
            raise
        self._packets = 0
        self._end_s = 0.0  # of the latest frame, on the file's own clock
        self._shown_s = -1.0
        self._longest_s = 0.0  # that a frame was shown
        self._start_s: float | None = None
        self._images = self._decoded()

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`."""
        return next(self._images, None)

    def close(self) -> None:
        """As `FrameReader.close`."""
        self._images.close()
        self._close()

    def _close(self) -> None:
        self._container.close()
        self._file.close()

    def _decoded(self) -> Generator[CapturedImage, None, None]:
        """Frames, and damaged ones in the places of those that cannot be used.

        A frame is computed from those before it, back to a key frame: so damage lasts until the next one.
        """
        damage = ""
        packets = self._whole_packets()
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except self._av.error.InvalidDataError as error:
                damage = getattr(error, "strerror", None) or first_line(error)
                yield CapturedImage(None, damage=damage)
                continue
            except self._av.error.FFmpegError as error:  # of the file itself, such as a disk that fails
                raise StreamBrokenError(f"{self.name}: {error.strerror or first_line(error)}") from None
            for frame in frames:
                if frame.is_corrupt:
                    damage = "parts of the picture are missing"
                elif frame.key_frame:
                    damage = ""
                yield self._captured(frame, damage)
        self._check_complete()

    def _whole_packets(self) -> Iterator[Any]:
        """The packets, but for one at the end that is cut off: some decoders fill what is missing.

        Elsewhere the mark says no more than that something before the packet may be missing.
        """
        packets = self._container.demux(self._stream)
        packet = next(packets, None)
        while packet is not None:
            following = next(packets, None)
            is_last = following is None or not following.size  # one without data empties the decoder
            if not (packet.is_corrupt and is_last):
                self._packets += packet.size > 0
                yield packet
            packet = following

    def _captured(self, frame: Any, damage: str) -> CapturedImage:
        shown_s = self._time_of(frame)
        if not damage and frame.width * frame.height > max_pixels():  # it changes in the middle of some files
            damage = f"{frame.width} x {frame.height} pixels; the limit is {max_pixels()}"
        if damage:
            return CapturedImage(None, presentation_s=shown_s, damage=damage)
        return CapturedImage(self._pictures.of(frame), "rgb", shown_s)

    def _time_of(self, frame: Any) -> float | None:
        """Seconds since the first frame; `None` where the file states none, or none later than the last."""
        at_s = frame.time
        if at_s is None or not math.isfinite(at_s):
            return None
        self._start_s = at_s if self._start_s is None else self._start_s
        shown_s = float(at_s - self._start_s)
        if shown_s <= self._shown_s:  # files that were joined begin anew
            return None
        self._longest_s = max(self._longest_s, shown_s - max(0.0, self._shown_s))
        self._shown_s, self._end_s = shown_s, float(at_s)
        return shown_s

    def _check_complete(self) -> None:
        """Compare what was read with what the file states, if it states anything of its video."""
        stated = int(self._stream.frames)
        if self._packets == 0:
            raise StreamBrokenError(f"{self.name}: has no frame: damaged or cut off?")
        if stated:
            short = is_far_short(self._packets, stated)
            told = f"{self._packets} frames could be read, and the file states {stated}"
        else:
            duration_s = self._duration_s()
            # The last frame may be shown for long, as others were.
            missing_s = duration_s - self._end_s - 2 * self._longest_s
            short = missing_s > 0 and is_far_short(self._end_s, duration_s, most_missing=0)
            told = f"{self._shown_s:.2f} s could be read, and the file states {duration_s:.2f} s"
        if short:
            raise StreamBrokenError(f"{self.name}: damaged or cut off: {told}")

    def _duration_s(self) -> float:
        """End of the video on the file's own clock; 0.0 if only the end of all its streams is known."""
        hours, _, rest = str(self._stream.metadata.get("DURATION", "")).partition(":")  # Matroska
        minutes, _, seconds = rest.partition(":")
        try:
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            alone = len(self._container.streams) == 1 and self._container.duration
            return self._container.duration / self._av.time_base if alone else 0.0
