"""The process that converts a source: what runs in it, and what it sends back."""

from __future__ import annotations

import errno
import logging
import time
import traceback
from collections.abc import Iterator

from edgevision.conversion.convert import Conversion
from edgevision.conversion.messages import request_in, with_evidence
from edgevision.conversion.phases import Activity
from edgevision.errors import EdgeVisionError, OutputError, SourceLimitError, first_line
from edgevision.evidence.records import Evidence
from edgevision.execution.limits import give_way, limit_open_files
from edgevision.execution.messages import Message
from edgevision.execution.worker import error_fields, report
from edgevision.plugins import registry
from edgevision.system.process_family import end_with_parent

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def convert_requested(message: Message) -> Message:
    """Do what `edgevision.conversion.isolated` asks for: the job of its worker."""
    end_with_parent()
    give_way()
    limit_open_files(int(message.fields["open_files"]))
    _send_log(int(message.fields["log_level"]))
    source = ""
    try:
        request = request_in(message)
        source = str(request.source)
        conversion = Conversion.prepare(request, registry(), _report_progress, _report_activity)
        return with_evidence({}, conversion.run())
    except Exception as error:
        return _answer_of(error, source)


def _answer_of(error: Exception, source: str) -> Message:
    """The message for the caller's process about an error."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno == errno.EMFILE:
            return Message({"open_files": first_line(cause)})
        if isinstance(cause, MemoryError):
            needed = f"{source}: needs more memory than this machine has: {first_line(cause)}"
            return Message(error_fields(SourceLimitError(needed)))
    if isinstance(error, EdgeVisionError):
        evidence = getattr(error, "evidence", None)
        return with_evidence(error_fields(error), evidence if isinstance(evidence, Evidence) else None)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return Message(error_fields(OutputError(f"the output cannot be written: {error.strerror}")))
    logging.getLogger("edgevision").debug("%s", "".join(traceback.format_exception(error)))
    internal = EdgeVisionError(
        f"internal error: {type(error).__name__}: {first_line(error)}; run again with -vv for the traceback, "
        "and please report it"
    )
    return Message(error_fields(internal))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__  # also one that Keras hides


def _report_progress(stage: str, done: int, total: int) -> None:
    report(Message({"stage": stage, "done": done, "total": total}))


def _report_activity(activity: Activity) -> None:
    report(
        Message(
            {
                "phase": activity.phase.value,
                "artifact": activity.artifact,
                "has_others": activity.has_others,
                "computed_s": time.process_time(),
            }
        )
    )


class _ReportedLog(logging.Handler):
    """Sends the log to the caller's process, whose handlers are the caller's."""

    def emit(self, record: logging.LogRecord) -> None:
        report(Message({"log": record.getMessage(), "level": record.levelno}))


def _send_log(level: int) -> None:
    logger = logging.getLogger("edgevision")
    logger.setLevel(level)
    logger.addHandler(_ReportedLog())
    logger.propagate = False
