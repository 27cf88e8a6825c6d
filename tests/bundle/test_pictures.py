"""The archive of pictures in a bundle: read as it was written, reproducible, refused if damaged."""

from __future__ import annotations

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from edgevision.bundle.pictures import Picture, read_pictures, write_pictures
from edgevision.errors import BundleError

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
PICTURES = [
    Picture("a/1.jpg", "input", cv2.imencode(".png", PIXELS)[1].tobytes()),
    Picture("../evil", "tflite-int8", cv2.imencode(".jpg", PIXELS)[1].tobytes()),
]


def test_pictures_are_read_back_as_they_were_written() -> None:
    content = write_pictures(PICTURES)
    assert list(read_pictures(content, "pictures.zip")) == PICTURES
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["001.png", "002.jpg", "index.json"], "names of images name no file"


def test_the_same_pictures_make_the_same_bytes() -> None:
    assert write_pictures(PICTURES) == write_pictures(PICTURES)


def test_an_archive_may_be_empty() -> None:
    assert read_pictures(write_pictures([]), "pictures.zip") == ()


def _archive(index: object, **files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", json.dumps(index))
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


ROW = {"file": "one", "image": "a", "shows": "input"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        write_pictures(PICTURES)[:-40],
        _archive({"a": 1}),
        _archive([ROW]),
        _archive([ROW], one=b"<svg onload='alert(1)'>"),
        _archive([ROW], one=b"\xff\xd8\xff" + bytes(2_000_000)),
        _archive([{"file": "one"}], one=b"\xff\xd8\xff"),
    ],
    ids=["empty", "other", "cut", "no list", "missing", "no picture", "too large", "no name"],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"pictures\.zip: is not a valid archive of pictures"):
        read_pictures(content, "pictures.zip")
