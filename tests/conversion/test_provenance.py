"""Evidence and bundle say how they came to be, and name no folder and no person."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_conversion import TinyConverter, tiny_plugins, tiny_request

import edgevision
from edgevision.bundle.storage import read_bundle
from edgevision.cli import cli
from edgevision.conversion.convert import Conversion
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Evidence
from edgevision.reporting.report import write_report
from edgevision.tasks.options import TaskOptions

#: What must stand nowhere: parts of folders, and of file names below them.
PERSON = b"Doe"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's folder with images of patients, one folder per class."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    folder = tmp_path_factory.mktemp("home") / "Jane Doe"
    random = np.random.default_rng(0)
    for place in range(60):
        below = folder / "scans" / "abcde"[place % 5]
        below.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(below / f"DoeJohn{place // 2}_{place}.png"), random.integers(0, 256, (8, 8, 3), np.uint8)
        )
    (folder / "scans" / "notes.txt").write_text("not an image")
    (folder / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    return folder


def converted(folder: Path, **settings: Any) -> Evidence:
    request = tiny_request(folder, ("float32",), force=True, accept_not_shown=True, **settings)
    task = TaskOptions(output="scores", labels=folder / "labels.txt")
    request = replace(
        request,
        evaluation=folder / "scans",
        groups="pattern:{group}_*",
        settings=replace(request.settings, task=task),
    )
    return Conversion.prepare(request, tiny_plugins(TinyConverter())).run()


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file below a folder, and of every member of the archives among them."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            content = file.read_bytes()
            yield str(file.relative_to(path.parent)), content
            if zipfile.is_zipfile(io.BytesIO(content)):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    yield from ((f"{file.name}/{name}", archive.read(name)) for name in archive.namelist())


def tells(path: Path, *words: bytes) -> list[str]:
    return [
        name for name, content in contents(path) if any(word in name.encode() + content for word in words)
    ]


COMMAND = ("edgevision", "convert", "{0}/model.tiny", "--labels={0}//labels.txt", "-o", "{0}/model.evb")


def command_in(folder: Path) -> tuple[str, ...]:
    return tuple(word.format(folder) for word in COMMAND)


def test_no_folder_and_no_name_of_a_persons_file_stands_in_a_bundle_or_report(folder: Path) -> None:
    evidence = converted(folder, command=command_in(folder))
    write_report(folder / "model.evb", folder / "model.html", force=True)
    assert tells(folder / "model.evb", PERSON, b"/tmp", str(folder.parent).encode()) == []
    assert tells(folder / "model.html", PERSON, b"/tmp", str(folder.parent).encode()) == []
    assert evidence.evaluation.name == "scans"
    assert evidence.provenance is not None
    words = ("edgevision", "convert", "model.tiny", "--labels=labels.txt", "-o", "model.evb")
    assert evidence.provenance.command == words
    assert evidence.notes[0].startswith("evaluation set scans: left out 1 file")


def test_names_are_recorded_where_they_are_asked_for(folder: Path) -> None:
    evidence = converted(folder, record_names=True, command=command_in(folder))
    assert evidence.evaluation.name == str(folder / "scans")
    assert evidence.provenance is not None
    assert evidence.provenance.command == command_in(folder)
    assert evidence.provenance.settings["task"]["labels"] == str(folder / "labels.txt")
    assert tells(folder / "model.evb", PERSON) != []


def test_the_names_of_images_are_those_of_their_content_in_groups_alone(folder: Path) -> None:
    images = edgevision.ImageSet.open(folder / "scans")
    assert images.shown_names == images.image_names
    grouped = images.grouped("pattern:{group}_*")
    assert grouped.shown_names[0] == f"image {images.digests[0][:12]}"
    assert replace(grouped, named=True).shown_names == images.image_names
    pixels = edgevision.ImageSet.from_arrays(list(images), groups=[place // 2 for place in range(60)])
    assert pixels.shown_names == pixels.image_names


def test_the_record_has_settings_versions_and_digests_of_all_inputs(folder: Path) -> None:
    evidence = converted(folder, author="J. D.")
    record, manifest = evidence.provenance, read_bundle(folder / "model.evb").manifest
    assert record is not None
    assert manifest.provenance == record
    assert record.author == "J. D."
    assert record.command == ()
    assert record.edgevision == edgevision.__version__
    assert {"numpy", "ai-edge-litert", "edgevision"} <= set(record.libraries)
    assert record.settings["budget"] == {"max_drop": None, "min_agreement": None}
    assert record.settings["precisions"] == ["float32"]
    assert record.settings["task"]["labels"] == "labels.txt"
    assert record.settings["calibration_samples"] == 500, "defaults too"
    digests = {each.role: (each.name, each.sha256) for each in record.inputs}
    assert digests["source"] == ("model.tiny", "0" * 64)
    assert digests["evaluation"] == ("scans", evidence.evaluation.sha256)
    assert digests["labels"] == ("labels.txt", hashlib.sha256(b"a\nb\nc\nd\ne\n").hexdigest())
    assert digests["targets"][0] == "targets.toml"


def test_a_bundle_with_a_record_matches_the_published_schemas_and_is_read_back(folder: Path) -> None:
    evidence = converted(folder, author="J. D.")
    for name, kind in (("evidence", "evidence.json"), ("manifest", "manifest.json")):
        schema = json.loads(files("edgevision.schemas").joinpath(f"{name}.schema.json").read_text())
        jsonschema.validate(json.loads((folder / "model.evb" / kind).read_text()), schema)
    assert read_evidence((folder / "model.evb" / "evidence.json").read_text(), "evidence.json") == evidence


def test_evidence_of_a_release_that_recorded_paths_is_read_without_them(folder: Path) -> None:
    converted(folder)
    document = json.loads((folder / "model.evb" / "evidence.json").read_text())
    del document["provenance"]
    document["schema_version"] = 1
    document["evaluation"]["name"] = "/home/jane.doe/scans"
    document["notes"] = ["evaluation set /home/jane.doe/scans: 1 file"]
    evidence = read_evidence(json.dumps(document), "evidence.json")
    assert (evidence.evaluation.name, *evidence.notes) == ("scans", "evaluation set scans: 1 file")
    assert evidence.provenance is None


def test_the_report_and_inspect_say_how_a_bundle_came_to_be(folder: Path) -> None:
    converted(folder, author="J. D.", command=command_in(folder))
    write_report(folder / "model.evb", folder / "model.html", force=True)
    page = (folder / "model.html").read_text()
    assert "<code>edgevision convert model.tiny --labels=labels.txt -o model.evb</code>" in page
    assert "<dd>J. D.</dd>" in page
    assert "<dd>labels.txt, SHA-256" in page
    shown = CliRunner().invoke(cli, ["inspect", str(folder / "model.evb")]).output
    assert "made by        edgevision convert model.tiny --labels=labels.txt -o model.evb, by J. D." in shown


@pytest.mark.convert
def test_no_artifact_of_any_format_has_the_folder_that_it_was_converted_in(quickstart: Path) -> None:
    bundle = quickstart / "quickstart" / "digits.evb"
    assert tells(bundle, str(quickstart).encode(), b"/tmp/", b"newcomer") == []
    record = read_bundle(bundle).manifest.provenance
    assert record is not None
    assert not any("/" in word for word in record.command)
    assert {"tensorflow", "keras"} <= set(record.libraries)


@pytest.mark.parametrize(
    ("field", "value"), [("author", 5), ("command", "edgevision convert"), ("record_names", "yes")]
)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(edgevision.errors.OptionError, match=field):
        edgevision.ConversionSettings(**{field: value})
