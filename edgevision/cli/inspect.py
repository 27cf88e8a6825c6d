"""``edgevision inspect``: a bundle's contents and evidence."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgevision.bundle.files import files_of
from edgevision.bundle.layout import SIGNATURE
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.provenance import Provenance
from edgevision.bundle.storage import Bundle, open_bundle
from edgevision.cli.lines import echo_line
from edgevision.cli.options.path import PATH
from edgevision.cli.options.score import describe_score_calibration
from edgevision.cli.output.evidence import echo_evidence
from edgevision.cli.output.tables import echo_table
from edgevision.evidence.document import read_evidence
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.formatting import size
from edgevision.system.strict_json import read_json
from edgevision.tasks.description import Task, task_to_dict
from edgevision.tensors import TensorSpec


@click.command("inspect")
@click.argument("bundle", type=PATH)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the manifest and the evidence as one JSON object."
)
def command(bundle: Path, as_json: bool) -> None:
    """Show the contents and the evidence of BUNDLE, and check the digest of every file."""
    opened = open_bundle(bundle, check_trust=False)  # showing a bundle runs nothing of it
    opened.verify()
    text = opened.read(opened.manifest.evidence).decode("utf-8", "replace")
    evidence = read_evidence(text, f"{bundle}: {opened.manifest.evidence.path}")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "digest": opened.digest,
                    "signed": _is_signed(opened),
                    "manifest": read_json(opened.manifest_content),
                    "evidence": read_json(text),
                },
                indent=2,
            )
        )
        return
    _echo_manifest(opened)
    click.echo()
    echo_evidence(evidence)


def _echo_manifest(bundle: Bundle) -> None:
    manifest = bundle.manifest
    labels = ", ".join(bundle.labels[:10]) + (", …" if len(bundle.labels) > 10 else "")
    echo_line(f"{bundle.path}, created {manifest.created}, all digests match")
    echo_line(f"digest         {bundle.digest}")
    signed = "with a signature: edgevision verify says by whom" if _is_signed(bundle) else "not signed"
    echo_line(f"               {signed}")
    echo_line(f"source         {manifest.source.name}, {manifest.source.description}")
    echo_line(f"               sha256 {manifest.source.sha256}")
    echo_line(f"task           {_task(manifest.task)}")
    echo_line(f"labels         {len(bundle.labels)}: {labels}")
    if manifest.preprocessing is not None:
        echo_line(f"preprocessing  {_describe_preprocessing(manifest.preprocessing)}")
    echo_line(
        f"created with   {', '.join(f'{name} {version}' for name, version in manifest.versions.items())}"
    )
    if manifest.provenance is not None:
        echo_line(f"made by        {_provenance(manifest.provenance)}")
    click.echo()
    echo_table(
        ("artifact", "size", "input", "output", "targets"), [_row(entry) for entry in manifest.artifacts]
    )
    for entry in manifest.artifacts:
        if entry.compiled_from is not None:
            state = "its known answers were checked"
            if entry.unproved is not None:
                state = f"not proved yet, and checked before it is used: {entry.unproved}"
            echo_line(f"{entry.id} was compiled elsewhere: {state}")
        if entry.score_calibration is not None:
            echo_line(f"scores of {entry.id}: {describe_score_calibration(entry.score_calibration)}")


def _provenance(record: Provenance) -> str:
    """Such as ``edgevision convert model.keras -o model.evb, by Jane Doe, revision 0123456789ab``."""
    parts = [" ".join(record.command) or f"a program, with edgevision {record.edgevision}"]
    parts += [f"by {record.author}"] if record.author else []
    parts += [f"revision {record.revision[:12]}"] if record.revision else []
    return ", ".join(parts)


def _is_signed(bundle: Bundle) -> bool:
    return SIGNATURE in files_of(bundle.path).sizes()


def _task(task: Task) -> str:
    settings = (
        f"{name} {value}" for name, value in task_to_dict(task).items() if name != "name" and value != {}
    )
    return f"{task.name}: {', '.join(settings)}"


def _describe_preprocessing(preprocessing: Preprocessing) -> str:
    width, height = preprocessing.size_wh
    low, high = preprocessing.value_range
    description = (
        f"{preprocessing.resize} to {width}x{height}, {preprocessing.interpolation}, {preprocessing.color}, "
    )
    description += f"values {low:g}..{high:g}"
    if not preprocessing.mapping.is_plain:
        description += f", images of {preprocessing.mapping.describe()}"
    if any(preprocessing.mean) or any(value != 1 for value in preprocessing.scale):
        description += (
            f", minus mean {_numbers(preprocessing.mean)}, divided by scale {_numbers(preprocessing.scale)}"
        )
    return description


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _row(entry: ArtifactEntry) -> tuple[str, ...]:
    size_bytes = sum(file.size_bytes for file in entry.files)
    return (
        entry.id,
        size(size_bytes),
        _tensors(entry.inputs),
        _tensors(entry.outputs),
        ", ".join(entry.targets),
    )


def _tensors(specs: tuple[TensorSpec, ...]) -> str:
    return " ".join(f"{spec.name} {spec.describe()}" for spec in specs)
