"""Every exception that a caller of EdgeVision may catch, in one tree.

    EdgeVisionError                     exit code 1
    ├── OptionError                     2   an option or argument is missing, ambiguous or unknown
    ├── InputError                      3   an image, a folder of images or a tensor cannot be used
    ├── SourceError                     4   a trained model cannot be read
    │   └── UntrustedSourceError        4   … because it carries code of its own
    ├── BundleError                     5   a bundle is incomplete, damaged or of an unknown version
    ├── PluginError                     6   no plugin provides what was asked for
    │   └── MissingRuntimeError         6   … because its runtime is not installed
    ├── DeviceError                     7   the device or precision asked for cannot be had
    ├── ArtifactError                   8   a runtime refuses an artifact
    ├── InferenceError                  9   a runtime failed while it ran
    │   └── SessionClosedError          9   … because the session had been closed
    ├── ConversionError                10   a converter could not make an artifact
    ├── AgreementError                 11   an artifact does not agree with its source closely enough
    ├── OutputError                    12   a result cannot be written
    └── CancelledError                130   the caller ended it before it was done

The number is the exit code of the command line. Code 2 is also click's own for a wrong
command line, 130 is Ctrl-C, and 1 is a bug in EdgeVision or in a plugin.
"""

from __future__ import annotations


class EdgeVisionError(Exception):
    """Base of all errors that EdgeVision raises on purpose.

    The text has what failed, on which thing, what was expected, and the next step.
    """

    exit_code = 1


class OptionError(EdgeVisionError, ValueError):
    """An option or argument is missing, ambiguous, unknown or out of range."""

    exit_code = 2


class InputError(EdgeVisionError, ValueError):
    """An image, a set of images or a tensor cannot be used."""

    exit_code = 3


class SourceError(EdgeVisionError):
    """A trained model cannot be read, or is not one that can be converted."""

    exit_code = 4


class UntrustedSourceError(SourceError):
    """A trained model carries code of its own, and the caller has not said that it is trusted."""


class BundleError(EdgeVisionError):
    """A bundle is incomplete, damaged, or of a version that this release cannot read."""

    exit_code = 5


class PluginError(EdgeVisionError):
    """No working plugin provides what was asked for."""

    exit_code = 6


class MissingRuntimeError(PluginError):
    """A plugin is there, but the runtime or library that it needs is not installed.

    Attributes:
        extra: the extra of the distribution `edgevision` that installs it.
    """

    def __init__(self, extra: str, reason: str) -> None:
        self.extra = extra
        super().__init__(f"{reason}; type: {install_command(extra)}")


class DeviceError(EdgeVisionError):
    """The device, or the precision on it, that was asked for cannot be had."""

    exit_code = 7


class ArtifactError(EdgeVisionError):
    """A runtime refuses to load an artifact."""

    exit_code = 8


class InferenceError(EdgeVisionError):
    """A runtime failed while it ran an artifact."""

    exit_code = 9


class SessionClosedError(InferenceError):
    """The session was closed before the call."""


class ConversionError(EdgeVisionError):
    """A converter could not make the artifact that was asked for."""

    exit_code = 10


class AgreementError(EdgeVisionError):
    """A converted artifact does not agree with its source as closely as was required.

    Attributes:
        evidence: all that was measured, an `edgevision.evidence.records.Evidence`.
    """

    exit_code = 11

    def __init__(self, message: str, evidence: object) -> None:
        self.evidence = evidence
        super().__init__(message)


class OutputError(EdgeVisionError):
    """A result cannot be written where it was asked to be."""

    exit_code = 12


class CancelledError(EdgeVisionError):
    """The caller's progress callback ended it before it was done."""

    exit_code = 130


def install_command(extra: str) -> str:
    """The command that installs what the backend or converter named `extra` needs."""
    return f'pip install "edgevision[{extra}]"'


def first_line(error: BaseException) -> str:
    """The one line of a foreign error that is worth showing: C++ runtimes add source paths and stacks."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [
        line
        for line in lines
        # A line that ends in a colon only announces the next.
        if line and not line.startswith(("Exception from", "Check '")) and not line.endswith(":")
    ]
    return (told or [line for line in lines if line] or [type(error).__name__])[0]
