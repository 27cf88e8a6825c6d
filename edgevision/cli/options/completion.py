"""Shell completion of names: targets, backends, precisions, decoders and labels.

Completion runs on each press of the tab key: it imports no runtime, prints nothing, and offers
nothing where a plugin or file is broken.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgevision.artifact import PRECISIONS
from edgevision.bundle.layout import LABELS, MANIFEST
from edgevision.plugins import registry
from edgevision.system.reading import MOST_SETTINGS_BYTES
from edgevision.system.strict_json import read_json
from edgevision.target import load_targets
from edgevision.tasks.label_files import read_labels

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completion(names: Callable[[Mapping[str, Any]], Mapping[str, str] | Iterable[str]]) -> Complete:
    """Complete from names, or name -> description, that are looked up for a command's arguments."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            with silenced():
                offered = names(_arguments(ctx))
        except (Exception, SystemExit):
            return []
        described = offered if isinstance(offered, Mapping) else dict.fromkeys(offered)
        return [
            CompletionItem(name, help=description)
            for name, description in described.items()
            if name.startswith(incomplete)
        ]

    return complete


def _arguments(ctx: click.Context) -> dict[str, Any]:
    """The arguments that stand before the word to complete."""
    # Click stops at an option that still lacks its value, and leaves the positional words unnamed.
    positional = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    passed = {name: value for name, value in ctx.params.items() if value}
    return {**dict(zip(filter(None, positional), ctx.args, strict=False)), **passed}


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discard what plugins print while they are imported: the shell would take it for names."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _targets(arguments: Mapping[str, Any]) -> Mapping[str, str]:
    files = tuple(arguments.get("targets_file") or ())
    return {target.name: target.description for target in load_targets(files).values()}


def _executors(arguments: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: executor.summary for name, executor in sorted(registry().executors().items())}


def _backends(arguments: Mapping[str, Any]) -> Iterable[str]:
    return sorted(registry().backends())


def _decoders(arguments: Mapping[str, Any]) -> Iterable[str]:
    return sorted(registry().decoders())


def _precisions(arguments: Mapping[str, Any]) -> Iterable[str]:
    """The precisions of `edgevision convert`."""
    return ("auto", *PRECISIONS)


def _precisions_of_bundle(*names: str) -> Callable[[Mapping[str, Any]], Iterable[str]]:
    """The precisions in the bundle that one of the arguments `names` is; all, if it cannot be read."""

    def precisions(arguments: Mapping[str, Any]) -> Iterable[str]:
        try:
            manifest = read_json(_file_in(_path(arguments, *names), MANIFEST))
            return dict.fromkeys(str(artifact["precision"]) for artifact in manifest["artifacts"])
        except Exception:
            return PRECISIONS

    return precisions


def _labels_of_bundle(arguments: Mapping[str, Any]) -> Iterable[str]:
    return _file_in(_path(arguments, "bundle"), LABELS).decode().splitlines()


def _labels_of_sets(arguments: Mapping[str, Any]) -> Iterable[str]:
    """The classes in the file passed with --labels, or else the class folders of the images."""
    if arguments.get("labels"):
        return read_labels(Path(arguments["labels"]))
    folder = _path(arguments, "evaluation", "calibration")
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _path(arguments: Mapping[str, Any], *names: str) -> Path:
    """The first of the arguments `names` that was passed."""
    return next(Path(arguments[name]) for name in names if arguments.get(name))


def _file_in(bundle: Path, name: str) -> bytes:
    """Read a small file of a bundle, without checking the digests of all others."""
    from edgevision.bundle.files import files_of

    return files_of(bundle).read(name, MOST_SETTINGS_BYTES)


complete_target = _completion(_targets)
complete_backend = _completion(_backends)
complete_executor = _completion(_executors)
complete_decoder = _completion(_decoders)
complete_tracker = _completion(
    lambda arguments: {one.name: one.summary for one in registry().trackers().values()}
)
complete_precision = _completion(_precisions)
complete_precision_of_bundle = _completion(_precisions_of_bundle("bundle", "model"))
complete_precision_of_a = _completion(_precisions_of_bundle("a"))
complete_precision_of_b = _completion(_precisions_of_bundle("b"))
complete_label_of_bundle = _completion(_labels_of_bundle)
complete_label_of_sets = _completion(_labels_of_sets)
