"""One loaded bundle and its queue."""

from __future__ import annotations

import time
from functools import partial

from edgevision.descriptions.datatypes import tensor_metadata
from edgevision.errors import InferenceError, OptionError
from edgevision.serving.batching import BatchingQueue, Job
from edgevision.serving.infer_request import InferRequest, TensorLimits
from edgevision.serving.prediction import PredictCall, predict
from edgevision.serving.settings import ServeSettings
from edgevision.session import CheckedSession
from edgevision.system.cores import cores
from edgevision.tasks.base import TaskModel


class Deployment:
    """A loaded model that takes requests.

    Args:
        model: it gives its known answers, or this raises; closed with the deployment.
        settings: limits.

    Attributes:
        model: the model.
        limits: the tensors that it takes and gives.
        queue: its requests.

    Raises:
        InferenceError: the model does not give its known answers.
        OptionError: one of its tensors has no datatype in the protocol.
    """

    def __init__(self, model: TaskModel, settings: ServeSettings) -> None:
        self.model = model
        session = model.session
        self.limits = TensorLimits(session.inputs, session.outputs, settings.max_batch)
        self._metadata = {
            "inputs": [tensor_metadata(spec) for spec in session.inputs],
            "outputs": [tensor_metadata(spec) for spec in session.outputs],
        }
        health = model.health(check=True)
        if not health.usable:
            raise InferenceError(f"the model does not give its known answers: {health.reason}")
        self._request_s = settings.request_s
        self.queue = BatchingQueue(
            session,
            slots_of(session) if settings.slots is None else settings.slots,
            settings.queue,
            settings.max_batch,
            settings.max_delay_ms / 1e3,
        )

    def metadata(self) -> dict[str, object]:
        """Platform and tensors, as the protocol has them."""
        return {"platform": f"edgevision_{self.model.session.backend}", **self._metadata}

    def facts(self) -> dict[str, str]:
        """Facts about the model that answers: the bundle's digest, backend, device and precision."""
        session = self.model.session
        return {
            "bundle_digest": self.model.bundle_digest or "",
            "backend": session.backend,
            "device": session.device,
            "precision": session.precision,
        }

    def infer(self, request: InferRequest) -> Job:
        """Queue an inference; its answer is name -> array.

        Raises:
            QueueFullError, QueueClosedError: as `BatchingQueue.submit`.
        """
        wait_s = min(self._request_s, request.timeout_s or self._request_s)
        return self._submit(Job(None, request.inputs, request.rows, time.monotonic() + wait_s))

    def predict(self, image: bytes, call: PredictCall) -> Job:
        """Queue a prediction; its answer is a document.

        Raises:
            QueueFullError, QueueClosedError: as `BatchingQueue.submit`.
        """
        work = partial(predict, self.model, image, call)
        return self._submit(Job(work, None, 1, time.monotonic() + self._request_s))

    def close(self, timeout_s: float) -> None:
        """Take no more requests, finish those that wait within this time, and close the model."""
        self.queue.close(timeout_s)
        self.model.close()

    def _submit(self, job: Job) -> Job:
        self.queue.submit(job)
        return job


def slots_of(session: CheckedSession) -> int:
    """Inferences at the same time: as many as fit on the cores; other devices serve one at a time."""
    if session.device != "cpu":
        return 1
    return max(1, cores() // (session.call_threads or cores()))


def opened(model: TaskModel, settings: ServeSettings) -> Deployment:
    """A deployment of a model, which is closed if it cannot be deployed.

    Raises:
        InferenceError, OptionError: as `Deployment`.
    """
    try:
        if model.session.is_closed:
            raise OptionError("the model is closed")
        return Deployment(model, settings)
    except BaseException:
        model.close()
        raise
