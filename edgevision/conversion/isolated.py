"""A conversion in a process of its own: a source that kills, hangs or fills it takes nobody with it.

The caller's process reads nothing of the source, and imports no library that does.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from edgevision.conversion.applied_limits import AppliedLimits
from edgevision.conversion.messages import evidence_in, request_message
from edgevision.conversion.settings import ConversionRequest
from edgevision.conversion.source_limits import SourceLimits
from edgevision.conversion.supervision import ConversionSupervisor
from edgevision.errors import (
    AgreementError,
    ConversionError,
    EdgeVisionError,
    IncompleteConversionError,
    ProcessError,
    SourceError,
    SourceLimitError,
)
from edgevision.evidence.records import Evidence
from edgevision.execution.worker import Worker, error_of
from edgevision.system.files import remove_leftovers
from edgevision.system.process_family import ProcessFamily
from edgevision.system.progress import Progress

#: What the child runs. It imports the whole conversion, which this process does not need.
_JOB = "edgevision.conversion.child:convert_requested"


def convert_isolated(request: ConversionRequest, limits: SourceLimits, progress: Progress | None) -> Evidence:
    """Convert in a process of its own; see `edgevision.convert`.

    Where that process ends or goes over a limit while it converts one artifact of several, another process
    converts the others, and that artifact counts as one that cannot be converted.

    Args:
        request: the arguments of `edgevision.convert`.
        limits: what the process may use.
        progress: the caller's function, which is called in this process.

    Raises:
        SourceLimitError: the source goes over a limit.
        SourceError, ConversionError: reading the source, or converting it, ended the process.
        OptionError: an argument cannot be sent to another process.
        EdgeVisionError: as `edgevision.convert`.
    """
    since = time.monotonic()
    while True:
        family = ProcessFamily()
        applied = AppliedLimits.of(limits, request.source)
        supervisor = ConversionSupervisor(request.source, applied, family, progress, since)
        try:
            with _left_clean(request, family) as worker:
                return _ask(worker, request, supervisor)
        except (SourceLimitError, ProcessError) as error:
            failure = error if isinstance(error, SourceLimitError) else _ended(error, supervisor)
            if not supervisor.activity.has_others:
                raise failure from error
            failed = {**request.failed, supervisor.activity.artifact: str(failure)}
            request = replace(request, failed=failed)


@contextmanager
def _left_clean(request: ConversionRequest, family: ProcessFamily) -> Iterator[Worker]:
    """A worker of the family; when the block ends, no process and no temporary file of it is left."""
    with ExitStack() as stack:
        stack.callback(remove_leftovers, request.output)
        environment = dict(family.environment)
        with suppress(OSError):  # no folder for temporary files is writable: the child finds another way
            folder = tempfile.TemporaryDirectory(prefix="edgevision-", ignore_cleanup_errors=True)
            environment["TMPDIR"] = stack.enter_context(folder)
        stack.callback(family.kill)
        yield stack.enter_context(Worker(environment=environment))


def _ask(worker: Worker, request: ConversionRequest, supervisor: ConversionSupervisor) -> Evidence:
    answer = worker.ask(
        _JOB,
        request_message(request, supervisor.limits.open_files),
        what=str(request.source),
        timeout_s=math.inf,
        supervisor=supervisor,
    )
    evidence = evidence_in(answer, str(request.output))
    if "open_files" in answer.fields:
        most = supervisor.limits.open_files
        raise supervisor.exceeded("open_files", most, str(answer.fields["open_files"]))
    if "error" in answer.fields:
        error = error_of(answer.fields)
        if isinstance(error, (AgreementError, IncompleteConversionError)):
            error.evidence = evidence
        raise error
    if evidence is None:
        raise ProcessError(f"{request.source}: no evidence came from the process that converts")
    return evidence


def _ended(error: ProcessError, supervisor: ConversionSupervisor) -> EdgeVisionError:
    """The error for a process that was killed or ended, in words of the conversion."""
    activity = supervisor.activity
    if activity.is_reading:
        return SourceError(f"{error}, {activity}: the model is damaged, or too large; save it again")
    step = "choose another --precision, or report it" if activity.artifact else "please report it"
    return ConversionError(f"{error}, {activity}; {step}")
