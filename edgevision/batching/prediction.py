"""Predictions as work for an executor: a loaded model, and rows about the images of a unit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.batching.references import ImageReference
from edgevision.batching.rows import UNCHANGED, BatchRow
from edgevision.bundle.layout import is_bundle
from edgevision.errors import ForkedSessionError, OptionError, SessionClosedError, first_line
from edgevision.execution.thread_shares import shared_out, turn_on
from edgevision.executor import Unit
from edgevision.imaging.decode import decode_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.gate import still_image_gate
from edgevision.journal.results import document_of
from edgevision.loading.load import load
from edgevision.streaming.records import ABSTAINED, FAILED, OK
from edgevision.system.shown import encodable
from edgevision.tasks.batches import each_or_all, pays
from edgevision.tasks.classify import Classification
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of

#: Images of one unit of a network that is faster on several at once.
_TOGETHER = 64
#: Units enough for all cores.
_MANY = 1 << 20


@dataclass(frozen=True)
class PinnedModel:
    """A model, with what decides how it runs: the same in every process.

    Attributes:
        path: of the bundle.
        digest: of the bundle.
        backend, device, precision: that run it.
        settings: of its sessions.
        together: whether the network is faster on several images at once.
        workers: threads that one process works with.
    """

    path: str
    digest: str
    backend: str
    device: str
    precision: str
    settings: SessionSettings
    together: bool
    workers: int

    @contextmanager
    def open(self) -> Iterator[ImageModel[Any]]:
        """Load it in this process.

        Raises:
            OptionError: another bundle is at its path in this process.
            EdgeVisionError: as `edgevision.load`.
        """
        model: Any = load(
            *(self.path, self.backend, self.device),
            precision=self.precision,
            settings=self.settings,
            tune=False,
        )
        with model:
            if model.bundle_digest != self.digest:
                raise OptionError(
                    f"{self.path}: has the digest {model.bundle_digest} on this machine, expected "
                    f"{self.digest}; copy the same bundle to this path on every machine"
                )
            yield model


def pin(
    bundle: Path, backend: str | None, device: str | None, precision: str | None, **arguments: Any
) -> tuple[PinnedModel, ImageModel[Any]]:
    """Load a model as `edgevision.load` chooses, and pin what it chose; the caller closes the model.

    Each call gets one thread, and each core a call, so that the results are the same wherever they come from.

    Raises:
        OptionError: it is not a bundle, or its model takes no image.
        EdgeVisionError: as `edgevision.load`.
    """
    if bundle.exists() and not is_bundle(bundle):
        raise OptionError(
            f"{bundle}: expected a bundle, got a bare model file, whose results nothing would identify; run "
            "edgevision convert to get a bundle"
        )
    settings: SessionSettings = replace(arguments.pop("settings"), device=device)
    workers, settings = shared_out(settings, _MANY)
    if workers == 1 and settings.threads is None and device in (None, "cpu"):
        settings = replace(settings, threads=1)
    model: Any = load(bundle, backend, device, precision=precision, settings=settings, **arguments)
    try:
        if not isinstance(model, ImageModel) or not kind_of(model.task).takes_images:
            raise OptionError(
                f"{bundle}: this model generates images, and predicts nothing about yours; run edgevision "
                f"generate {bundle} -o DIR"
            )
        session = model.session
        together = pays(session, model.preprocessing.size_wh)
        pinned = PinnedModel(
            *(str(bundle.absolute()), str(model.bundle_digest)),
            *(session.backend, session.device, session.precision),
            settings,
            together,
            workers,
        )
    except BaseException:
        model.close()
        raise
    return pinned, model


@dataclass(frozen=True)
class Prediction:
    """Rows about the images of a unit; see `edgevision.executor.Work`.

    Attributes:
        model: what predicts.
        call: arguments of each call, such as thresholds.
        top: classes of a result, for kinds that rank classes; `None` for up to a hundred.
        gated: whether the bundle's limits for frames hold.
    """

    model: PinnedModel
    call: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    gated: bool = True

    divisible = True

    @property
    def workers(self) -> int:
        """As `Work.workers`."""
        return self.model.workers

    @property
    def unit_size(self) -> int | None:
        """Images of one unit; `None` leaves that to the executor."""
        return _TOGETHER if self.model.together else None

    @contextmanager
    def open(self) -> Iterator[Callable[[Unit], Sequence[BatchRow]]]:
        """As `Work.open`."""
        with self.model.open() as model:
            if not self.gated:
                model.input_gate = None
            yield _Predictor(self, model)

    def lost(self, entry: ImageReference, reason: str) -> BatchRow:
        """As `Work.lost`."""
        return self.row(entry, None, f"{FAILED}: ProcessError: {reason}")

    def row(
        self,
        reference: ImageReference,
        sha256: str | None,
        status: str,
        result: dict[str, Any] | None = None,
        times_ms: Mapping[str, float] | None = None,
    ) -> BatchRow:
        """The row of an image."""
        times, model = times_ms or {}, self.model
        return BatchRow(
            *(reference.uri, sha256, status, result),
            *(times.get("read"), times.get("decode"), times.get("predict")),
            *(model.digest, model.backend, model.device, model.precision),
            *(reference.size_bytes, reference.modified),
        )


class _Predictor:
    """Rows about images, by a loaded model; for several threads."""

    def __init__(self, work: Prediction, model: ImageModel[Any]) -> None:
        self._work = work
        self._model = model
        self._gate = still_image_gate(model.input_gate, model.preprocessing.mapping)
        self._turn = turn_on(model.session.device)

    def __call__(self, unit: Unit) -> list[BatchRow]:
        if self._work.model.together:
            return self._rows(unit)
        return [row for reference in unit for row in self._rows([reference])]

    def _rows(self, references: Sequence[ImageReference]) -> list[BatchRow]:
        read = [_ReadImage(reference, self._gate) for reference in references]
        frames = [one.frame for one in read if one.frame is not None]
        started_s = time.perf_counter()
        results = iter(self._predict(frames))
        share_ms = _since_ms(started_s) / max(1, len(frames))
        return [self._row(one, None if one.frame is None else next(results), share_ms) for one in read]

    def _predict(self, frames: Sequence[Frame]) -> Sequence[Any]:
        """The result of each image, or the error about it."""

        def call(images: Sequence[Frame]) -> Sequence[Any]:
            with self._turn:
                results: Sequence[Any] = self._model(list(images), **self._work.call)
            return results

        if not frames:
            return []
        try:
            return each_or_all(call, frames)
        except (SessionClosedError, ForkedSessionError):  # no image is answered any more
            raise
        except Exception as error:  # one image must not take the others with it
            if len(frames) == 1:
                return [error]
        return [result for frame in frames for result in self._predict([frame])]

    def _row(self, read: _ReadImage, result: Any, predict_ms: float) -> BatchRow:
        times, work = read.times_ms, self._work
        if read.frame is None:
            return work.row(read.reference, read.sha256, read.status, None, times)
        if isinstance(result, Exception):
            return work.row(read.reference, read.sha256, _failed(result), None, times)
        try:
            document = self._document(result)
            _check_json(document)
        except Exception as error:  # of a plugin's result
            return work.row(read.reference, read.sha256, _failed(error), None, times)
        abstention = getattr(result, "abstention", "")
        status = f"{ABSTAINED}: {abstention}" if abstention else OK
        times = {**times, "predict": round(predict_ms, 3)}
        return work.row(read.reference, read.sha256, status, document, times)

    def _document(self, result: Any) -> dict[str, Any]:
        if self._work.top is not None and isinstance(result, Classification):
            return result.to_dict(self._work.top)
        return dict(document_of(result))


class _ReadImage:
    """An image that was read: its frame, or the status that says why there is none."""

    def __init__(self, reference: ImageReference, gate: Callable[[Frame], str]) -> None:
        self.reference = reference
        self.sha256: str | None = None
        self.frame: Frame | None = None
        self.status = OK
        self.times_ms: dict[str, float] = {}
        try:
            self._read(gate)
        except Exception as error:  # one image must not take the others with it
            self.frame, self.status = None, _failed(error)

    def _read(self, gate: Callable[[Frame], str]) -> None:
        reference = self.reference
        started_s = time.perf_counter()
        content = reference.place.read()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.times_ms["read"] = round(_since_ms(started_s), 3)
        if reference.known_sha256 == self.sha256:
            self.status = UNCHANGED
            return
        started_s = time.perf_counter()
        frame = decode_frame(content, reference.uri, reference.frame)
        self.times_ms["decode"] = round(_since_ms(started_s), 3)
        refusal = gate(frame)
        if refusal:
            self.status = f"{ABSTAINED}: {refusal}"
        else:
            self.frame = frame


def _check_json(document: Mapping[str, Any]) -> None:
    """Raise now for what the table could not hold, such as NaN: there it would end the whole run."""
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def _failed(error: Exception) -> str:
    return encodable(f"{FAILED}: {type(error).__name__}: {first_line(error)}")


def _since_ms(started_s: float) -> float:
    return 1e3 * (time.perf_counter() - started_s)
