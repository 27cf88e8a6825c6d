"""export(): an artifact of a bundle in the form that another program expects, with the answers checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgevision.artifact import Artifact
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.model_description import model_description
from edgevision.bundle.storage import Bundle, open_bundle
from edgevision.description import ModelDescription
from edgevision.errors import ConversionError, OptionError, OutputError
from edgevision.export_format import ExportedFiles, ExportedModel, ExportFormat
from edgevision.exporting.check import check_answers
from edgevision.graph import GraphFormat
from edgevision.loading.own_description import with_own_description
from edgevision.plugins import Registry, registry
from edgevision.system.arguments import flag, one_path, optional_text, text
from edgevision.system.files import OutputState, check_folder_of, make_folder, write_file
from edgevision.tasks.description import DetectTask


@dataclass(frozen=True)
class Exported:
    """A written export.

    Attributes:
        artifact: id of the artifact that it was made from.
        files: the files that were written.
        checked_on: backend on which its answers to the bundle's known images were compared with the
            bundle's.
        difference: the largest difference of a score there, 0…1.
        notes: what the reader must know, in sentences.
    """

    artifact: str
    files: tuple[Path, ...]
    checked_on: str
    difference: float
    notes: tuple[str, ...] = ()


def export(
    bundle: str | Path,
    output: str | Path,
    *,
    form: str,
    artifact: str | None = None,
    precision: str | None = None,
    force: bool = False,
) -> Exported:
    """Write an artifact of a bundle in the form that another program expects.

    The exported file is run on the bundle's known images, on this machine, and must find the same.

    Args:
        bundle: a bundle.
        output: the file to write; or a folder, created if missing, for all files of the export.
        form: name of the export format, such as ``mediapipe``.
        artifact: id of the artifact to start from; by default the first of the bundle whose format and
            precision suit.
        precision: of the artifact to start from.
        force: replace existing files.

    Raises:
        BundleError: the bundle is damaged.
        PluginError: there is no such export format, or no backend here runs the result.
        OptionError: the bundle has no such artifact.
        ConversionError: the program cannot take this model; names what of it. Or the exported file does not
            give the bundle's answers. Nothing is written.
        MissingRuntimeError: a library that writes the form is not installed.
        OutputError: a file exists, or cannot be written.
    """
    path, plugins = one_path(output, "output"), registry()
    force = flag(force, "force")
    artifact, precision = optional_text(artifact, "artifact"), optional_text(precision, "precision")
    format_ = plugins.export_format(text(form, "form"))
    opened = open_bundle(one_path(bundle, "bundle"))
    entry, made = _first_possible(opened, _entries(opened, format_, artifact, precision), format_, plugins)
    checked_on, difference = check_answers(opened, entry, made.artifact, plugins)
    files = _placed(path, made)
    before = _check_free(files, force)
    for name, content in files.items():
        write_file(name, content, before[name])
    return Exported(entry.id, tuple(files), checked_on, difference, made.notes)


def _entries(
    bundle: Bundle, format_: ExportFormat, artifact: str | None, precision: str | None
) -> Sequence[ArtifactEntry]:
    """The artifacts to try, those of the format's preferred one first."""
    entries = [
        entry
        for name in format_.formats
        for entry in bundle.manifest.artifacts
        if entry.format == name and artifact in (None, entry.id) and precision in (None, entry.precision)
    ]
    if not entries:
        ids = ", ".join(entry.id for entry in bundle.manifest.artifacts)
        request = "".join(f" '{name}'" for name in (artifact, precision) if name)
        raise OptionError(
            f"{bundle.path}: has no artifact{request} that {format_.name} is made from "
            f"({', '.join(format_.formats)}); it has: {ids}; convert for a target of that format"
        )
    return entries


def _first_possible(
    bundle: Bundle, entries: Sequence[ArtifactEntry], format_: ExportFormat, plugins: Registry
) -> tuple[ArtifactEntry, ExportedFiles]:
    reasons: list[str] = []
    for entry in entries:
        try:
            made = format_.export(exported_model(bundle, entry, plugins))
            if made.description is not None:
                made = replace(made, artifact=_described(made, made.description, plugins))
            return entry, made
        except ConversionError as error:
            reasons.append(str(error))
    raise ConversionError("; ".join(dict.fromkeys(reasons)))


def _described(made: ExportedFiles, description: ModelDescription, plugins: Registry) -> Artifact:
    described = with_own_description(made.artifact, description, plugins)
    if described is None:
        raise ConversionError(
            f"no plugin writes descriptions into {made.artifact.format} files; nothing was written"
        )
    return described.artifact


def exported_model(bundle: Bundle, entry: ArtifactEntry, plugins: Registry) -> ExportedModel:
    """An artifact of a bundle, as an export format gets it; checks its digests.

    Raises:
        BundleError: it is damaged.
        PluginError: no plugin has the detector's decoder.
    """
    manifest = bundle.manifest
    task = manifest.task
    description = model_description(task, manifest.preprocessing, bundle.labels, entry.score_calibration)
    decoder = plugins.decoder(task.decoder) if isinstance(task, DetectTask) else None
    artifact, graph = bundle.artifact(entry), None
    for backend in plugins.backends_owning(artifact.format):
        if isinstance(backend, GraphFormat):
            graph = partial(backend.editable_graph, artifact)
            break
    return ExportedModel(
        entry.id,
        artifact,
        description,
        entry.inputs,
        entry.outputs,
        decoder,
        graph,
        bundle.path.absolute().stem,
        tuple(entry.backends),
    )


def _placed(output: Path, made: ExportedFiles) -> Mapping[Path, bytes]:
    """Path -> content: of a single network file at `output` itself, of everything else in that folder."""
    below = {
        f"{made.folder}/{name}" if made.folder else name: one for name, one in made.artifact.files.items()
    }
    files = {**below, **made.others}
    main = made.artifact.name
    if output.suffix and output.suffix.lower() == Path(main).suffix and not made.others:
        check_folder_of(output, "-o")
        return {output.with_suffix(Path(name).suffix): content for name, content in files.items()}
    if output.suffix.lower() in (".tflite", ".xml", ".onnx"):
        raise OutputError(
            f"{output}: this export is {', '.join(files)}; pass a folder with -o"
            + ("" if made.others else f", or a name that ends in {Path(main).suffix}")
        )
    check_folder_of(output, "-o")
    return {output / name: content for name, content in files.items()}


def _check_free(files: Mapping[Path, bytes], force: bool) -> Mapping[Path, OutputState]:
    """The state of each path, after a check that it may be replaced."""
    before = {path: OutputState.of(path) for path in files}
    for path, state in before.items():
        if path.is_dir() or (state and not force):
            raise OutputError(f"{path}: already exists; pass --force to replace it")
    for folder in {path.parent for path in files}:
        make_folder(folder)
    return before
