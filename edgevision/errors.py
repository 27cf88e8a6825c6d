"""Every exception that EdgeVision raises, in one tree.

    EdgeVisionError                     1   base class
    ├── OptionError                     2   an option or argument is missing, ambiguous, or invalid
    │   ├── MissingOptionError          2   … because the model does not say what it states
    │   ├── NothingFoundError           2   … because the model does not find it in an image
    │   └── CopyError                   2   … because a model belongs to the process that loaded it
    ├── InputError                      3   an image, a set of images, or a tensor cannot be used
    ├── SourceError                     4   a trained model cannot be read or converted
    │   ├── UntrustedSourceError        4   … because it contains code and is not trusted
    │   └── SourceLimitError            4   … because that goes over a limit on memory, time or open files
    ├── BundleError                     5   a bundle is incomplete, damaged, or of an unsupported version
    ├── PluginError                     6   no working plugin provides the requested name
    │   ├── MissingPluginError          6   … because no plugin has this name
    │   ├── MissingRuntimeError         6   … because its runtime is not installed
    │   └── PluginFailedError           6   … because its code raised something else, or returned a wrong type
    ├── DeviceError                     7   the requested device or precision is not available
    │   └── RequirementsError           7   … or the loaded model is not what `require` says
    ├── ArtifactError                   8   a runtime cannot load an artifact
    │   └── OpenSizeError               8   … because the size of its input is open
    ├── InferenceError                  9   inference failed
    │   ├── SessionClosedError          9   … because the session was closed, or the process ends
    │   ├── ForkedSessionError          9   … because the process was forked after the session was opened
    │   ├── PluginInferenceError        9   … because the code of a plugin raised something else
    │   └── ProcessError                9   … because the process that ran it was killed, ended, or timed out
    │       ├── DeadlineError           9   … because it did not answer within its deadline
    │       └── RestartLimitError       9   … because it was replaced too often, and is not replaced again
    ├── ConversionError                10   a converter could not produce an artifact
    ├── AgreementError                 11   an artifact misses a requirement of its evidence
    │   └── NotShownError              13   … or its evaluation images are too few to show that it meets one
    ├── OutputError                    12   a result cannot be written
    │   └── JournalBusyError           12   … because another process writes to this journal
    ├── TrustError                     14   a bundle does not meet a trust policy
    ├── IncompleteConversionError      15   some of the requested artifacts passed, and others did not
    ├── StreamError                    16   a source of frames cannot be opened, or failed
    │   ├── StreamLostError            16   … because it stopped delivering: unplugged, stalled, disconnected
    │   └── StreamBrokenError          16   … because its data is damaged
    ├── JournalError                   17   a journal cannot be read: not a journal, a newer one, or damaged
    │   └── JournalChainError          17   … or its rows were altered, removed, inserted or reordered
    └── CancelledError                130   the caller cancelled the operation

The number is the exit code of the command line. click also exits with 2 for an invalid command line, Ctrl-C
exits with 130, and code 1 means an internal error in EdgeVision or in a plugin.
"""

from __future__ import annotations

import re

#: Keras sets messages in bold.
_TERMINAL_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_INTRODUCTIONS = ("Exception from", "Exception encountered when calling", "Check '")

_MOST_CHARACTERS = 10_000


class EdgeVisionError(Exception):
    """Base class of the errors that EdgeVision raises.

    The message names what failed, the file or argument, what was expected, and the next step. It can be
    printed whatever a file name holds, and has 10,000 characters at most.
    """

    exit_code = 1

    def __str__(self) -> str:
        """Return the message."""
        text = super().__str__()
        if len(text) > _MOST_CHARACTERS:
            text = f"{text[: _MOST_CHARACTERS - 1]}…"
        # Half a surrogate pair, as in a file name that is not UTF-8: no encoding has it.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class OptionError(EdgeVisionError, ValueError):
    """An option or argument is missing, ambiguous, unknown, or out of range."""

    exit_code = 2


class InputError(EdgeVisionError, ValueError):
    """An image, a set of images, or a tensor cannot be used."""

    exit_code = 3


class SourceError(EdgeVisionError):
    """A trained model cannot be read, or is of a kind that cannot be converted."""

    exit_code = 4


class UntrustedSourceError(SourceError):
    """A trained model contains code, and the caller did not pass `trust_source`."""


class SourceLimitError(SourceError):
    """Reading or converting a trained model went over a limit; says which, and how to raise it."""


class MissingOptionError(OptionError):
    """The model does not say something that must not be assumed, and no option states it.

    Attributes:
        where: the model's name; empty if the questions name it.
        questions: what is missing, each with the option to pass and its choices.
    """

    def __init__(self, where: str, *questions: str) -> None:
        self.where = where
        self.questions = questions
        listed = (f"({number}) {question}" for number, question in enumerate(questions, 1))
        several = f"{len(questions)} options are missing: " + "; ".join(listed)
        asked = questions[0] if len(questions) == 1 else several
        super().__init__(f"{where}: {asked}" if where else asked)


class NothingFoundError(OptionError):
    """The class or object that is to be explained was not found in the image."""


class CopyError(OptionError, TypeError):
    """A model or session is to be copied or pickled, which belongs to the process that opened it."""


class BundleError(EdgeVisionError):
    """A bundle is incomplete, damaged, or of a version that this release does not support."""

    exit_code = 5


class PluginError(EdgeVisionError):
    """No working plugin provides the requested backend, converter, or decoder."""

    exit_code = 6


class MissingPluginError(PluginError):
    """No installed plugin provides the requested name."""


class MissingRuntimeError(PluginError):
    """A plugin is installed, but the runtime or library that it needs is not.

    Args:
        extra: as the attribute.
        reason: what is missing, and for what.
        then: a second command, for what no extra can install.
        command: the command that installs it; by default that for the extra.

    Attributes:
        extra: the extra of the `edgevision` distribution that installs it; of another package's plugin, any
            word.
    """

    def __init__(self, extra: str, reason: str, then: str = "", command: str = "") -> None:
        self.extra = extra
        first = command or install_command(extra)
        super().__init__(f"{reason}; run: {f'{first} && {then}' if then else first}")


class PluginFailedError(PluginError):
    """The code of a plugin raised an error that is not EdgeVision's, or returned something of a wrong type.

    Attributes:
        plugin: name of its entry point.
        package: the distribution that provides it; empty if this process registered it.
        version: of that distribution.
        hook: what was called, such as ``edgevision_backends`` or ``backend 'ncnn': open``.
    """

    plugin = ""
    package = ""
    version = ""
    hook = ""


class DeviceError(EdgeVisionError):
    """The requested device, or the requested precision on it, is not available."""

    exit_code = 7


class RequirementsError(DeviceError):
    """A loaded model does not meet what `require` says of it.

    Attributes:
        unmet: the requirements that do not hold, each an `edgevision.UnmetRequirement`.
    """

    def __init__(self, message: str, unmet: tuple[object, ...]) -> None:
        self.unmet = unmet
        super().__init__(message)


class ArtifactError(EdgeVisionError):
    """A runtime cannot load an artifact."""

    exit_code = 8


class OpenSizeError(ArtifactError):
    """An artifact leaves more than the batch size of an input open."""


class InferenceError(EdgeVisionError):
    """Inference failed, or returned values that cannot be right."""

    exit_code = 9


class SessionClosedError(InferenceError):
    """The session was closed before the call, or the process is ending."""


class ForkedSessionError(InferenceError):
    """The session was opened by the process that this one was forked from."""


class PluginInferenceError(InferenceError, PluginFailedError):
    """The code of a plugin raised an exception that is not EdgeVision's while it ran a model."""


class ProcessError(InferenceError):
    """A child process that loaded or ran a model was killed by a signal, ended, or timed out."""


class DeadlineError(ProcessError):
    """A child process did not answer within its deadline, and was ended."""


class RestartLimitError(ProcessError):
    """A child process was replaced too often within some time, and is not replaced again."""


class ConversionError(EdgeVisionError):
    """A converter could not produce the requested artifact."""

    exit_code = 10


class AgreementError(EdgeVisionError):
    """A converted artifact misses a requirement: of agreement with its source, accuracy, size, or speed.

    Attributes:
        evidence: the measurements, an `edgevision.Evidence`.
    """

    exit_code = 11

    def __init__(self, message: str, evidence: object) -> None:
        self.evidence = evidence
        super().__init__(message)


class NotShownError(AgreementError):
    """The evaluation images do not show that an artifact meets its requirements: neither pass nor fail.

    The message says how many images would show it, if they are like these.

    Attributes:
        evidence: the measurements, an `edgevision.Evidence`; `None` if they cannot show it for any artifact,
            so that none was converted.
    """

    exit_code = 13


class OutputError(EdgeVisionError):
    """A result cannot be written to the requested path."""

    exit_code = 12


class JournalBusyError(OutputError):
    """A journal is written to already, by this process or another one."""


class TrustError(EdgeVisionError):
    """A bundle does not meet a trust policy: unsigned, signed by another, or changed after it was signed."""

    exit_code = 14


class IncompleteConversionError(EdgeVisionError):
    """Some of the artifacts that a conversion was asked for passed, and others did not; nothing was written.

    Attributes:
        evidence: the measurements, an `edgevision.Evidence`; its `missing` says what failed and why.
    """

    exit_code = 15

    def __init__(self, message: str, evidence: object) -> None:
        self.evidence = evidence
        super().__init__(message)


class JournalError(EdgeVisionError):
    """A journal cannot be read: not a journal, damaged, or of a version that is not supported."""

    exit_code = 17


class JournalChainError(JournalError):
    """The rows of a journal are not those that were written: altered, removed, inserted or reordered."""


class StreamError(EdgeVisionError):
    """A source of frames cannot be opened, or ended otherwise than by its end."""

    exit_code = 16


class StreamLostError(StreamError):
    """A source of frames stopped delivering: unplugged, stalled, or disconnected. It may come back."""


class StreamBrokenError(StreamError):
    """The data of a source of frames is damaged, or the program that yields its frames failed."""


class CancelledError(EdgeVisionError):
    """The caller's progress callback cancelled the operation."""

    exit_code = 130


def install_command(extra: str) -> str:
    """The command that installs the dependencies of the backend or converter named `extra`."""
    return f'pip install "edgevision[{extra}]"'


def first_line(error: BaseException) -> str:
    """The most informative line of a foreign error: C++ runtimes add source paths and stack traces."""
    text = _TERMINAL_STYLE.sub("", str(error))
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    informative = [
        line
        for line in lines
        # A line that ends in a colon only introduces the next one.
        if not line.startswith(_INTRODUCTIONS) and not line.endswith(":")
    ]
    return (informative or lines or [type(error).__name__])[0]
