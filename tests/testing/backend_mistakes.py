"""Backends that are wrong in one way each, to try the contract on: a linear layer on flattened images."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgevision.artifact import TFLITE, Artifact
from edgevision.backend import ArtifactDescription, Companion, DeviceInfo, SessionSettings
from edgevision.errors import ArtifactError, DeviceError
from edgevision.tensors import Array, TensorSpec

IMAGE = TensorSpec("image", (None, 6, 6, 3), "float32")
SCORES = TensorSpec("scores", (None, 5), "float32")
WEIGHTS = np.random.default_rng(3).normal(size=(108, 5)).astype(np.float32)
ARTIFACT = Artifact("linear", "float32", {"model.linear": WEIGHTS.tobytes()})
INPUTS = {"image": np.random.default_rng(4).random((1, 6, 6, 3), np.float32)}
OUTPUTS = {"scores": INPUTS["image"].reshape(1, -1) @ WEIGHTS}


def linear(weights: Array, image: Array, dtype: Any = np.float32) -> Array:
    return (image.reshape(len(image), -1).astype(dtype) @ weights.astype(dtype)).astype(np.float32)


class Slot:
    def __init__(self, session: Session, batch: int) -> None:
        self.inputs: Mapping[str, Array] = {"image": np.zeros((batch, 6, 6, 3), np.float32)}
        self.session = session

    def run(self) -> dict[str, Array]:
        return self.session.run(self.inputs)


class Session:
    inputs: Any = (IMAGE,)
    outputs: Any = (SCORES,)

    def __init__(self, weights: Array, settings: SessionSettings) -> None:
        self.weights, self.device = weights, settings.device or "cpu"
        self.precision = settings.precision or "float32"
        self.dtype = {"float32": np.float32, "float16": np.float16}[self.precision]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"scores": linear(self.weights, inputs["image"], self.dtype)}

    @contextmanager
    def lease(self, batch: int = 1) -> Iterator[Any]:
        yield Slot(self, batch)

    def close(self) -> None:
        pass


class Sound:
    """A backend without a mistake."""

    name: Any = "linear"
    formats: Any = ("linear",)
    options: Any = ()
    session: type = Session
    known: tuple[str, ...] = ("cpu",)

    def version(self) -> Any:
        return "linear 1"

    def devices(self) -> Any:
        return [DeviceInfo(name, "numpy") for name in self.known]

    def open(self, artifact: Artifact, settings: SessionSettings) -> Any:
        settings.check_options(self.name, self.options)
        settings.check_device(self.name, self.known)
        if settings.precision not in (None, "float32", "float16"):
            raise DeviceError(f"does not compute in {settings.precision}")
        return self.session(self.weights(artifact), settings)

    def weights(self, artifact: Artifact) -> Array:
        if len(artifact.content) != WEIGHTS.nbytes:
            raise ArtifactError(f"{artifact.name}: expected {WEIGHTS.nbytes} bytes")
        return np.frombuffer(artifact.content, np.float32).reshape(108, 5)


MISTAKES: dict[str, tuple[type, str]] = {}


def mistake(words: str) -> Any:
    """Add a backend, or one with this session, to the table, with words of the message that names it."""

    def add(kind: type) -> type:
        backend = kind
        if issubclass(kind, Session):
            backend = type(f"{kind.__name__}Backend", (Sound,), {"session": kind, "__module__": __name__})
            globals()[backend.__name__] = backend
        MISTAKES[kind.__name__] = backend, words
        return kind

    return add


@mistake("changed the outputs of the first")
class OneBuffer(Session):
    buffer = np.zeros((3, 5), np.float32)

    def run(self, inputs):
        answer = self.buffer[: len(inputs["image"])]
        answer[...] = super().run(inputs)["scores"]
        return {"scores": answer}


@mistake("changed the outputs of the first; copy them")
class OneBufferOfSlots(Session):
    buffer = np.zeros((3, 5), np.float32)

    @contextmanager
    def lease(self, batch=1):
        session = self

        class Reused(Slot):
            def run(self):
                answer = session.buffer[: len(self.inputs["image"])]
                answer[...] = super().run()["scores"]
                return {"scores": answer}

        yield Reused(self, batch)


@mistake("two inputs got the same answer|differs from the expected")
class FirstAnswerForever(Session):
    def run(self, inputs):
        if not hasattr(self, "first"):
            self.first = super().run(inputs)["scores"]
        return {"scores": self.first.copy()}


@mistake("may be that of an earlier call|expected one")
class OneCallLate(Session):
    late = np.zeros((1, 5), np.float32)

    def run(self, inputs):
        answer, self.late = self.late, super().run(inputs)["scores"]
        return {"scores": answer}


@mistake("lease: the same inputs|lease: two inputs|'scores', lease: differs")
class StaleSlots(Session):
    @contextmanager
    def lease(self, batch=1):
        slot = Slot(self, batch)
        slot.run = lambda: self.run({"image": np.zeros((batch, 6, 6, 3), np.float32)})  # type: ignore[method-assign]
        yield slot


@mistake("threads that share a session got a wrong answer")
class OneInterpreterOfAllThreads(Session):
    shared: ClassVar[dict[str, Array]] = {}

    def run(self, inputs):
        self.shared["image"] = inputs["image"]
        time.sleep(0.002)
        return super().run({"image": self.shared["image"]})


@mistake("threads that share a session got a wrong answer")
class QuickRace(Session):
    def run(self, inputs):
        self.latest = inputs["image"]
        for _ in range(4000):  # long beside the turns that the threads take
            pass
        return super().run({"image": self.latest})


@mistake("changed the arrays of the caller's inputs")
class Scribbles(Session):
    def run(self, inputs):
        answer = super().run(inputs)
        inputs["image"][...] = 0
        return answer


@mistake("outputs changed with the caller's inputs|writing to an output changed|differs from the expected")
class ReturnsItsInput(Session):
    outputs = (TensorSpec("scores", (None, 6, 6, 3), "float32"),)

    def run(self, inputs):
        return {"scores": inputs["image"]}


@mistake("run returned .1, 5. float64")
class WrongType(Session):
    def run(self, inputs):
        return {"scores": super().run(inputs)["scores"].astype(np.float64)}


@mistake("run returned .5,. float32|run returned")
class WrongShape(Session):
    def run(self, inputs):
        return {"scores": super().run(inputs)["scores"].reshape(-1)}


@mistake("returned outputs")
class MissingOutput(Session):
    def run(self, inputs):
        return {}


@mistake("returned outputs")
class AdditionalOutput(Session):
    def run(self, inputs):
        return {**super().run(inputs), "debug": np.zeros(1)}


@mistake("list")
class Lists(Session):
    def run(self, inputs):
        return {"scores": super().run(inputs)["scores"].tolist()}


@mistake("cannot be written to")
class ReadOnly(Session):
    def run(self, inputs):
        answer = super().run(inputs)
        answer["scores"].flags.writeable = False
        return answer


@mistake("a batch of 3 differs")
class ReversedBatch(Session):
    def run(self, inputs):
        return {"scores": super().run(inputs)["scores"][::-1].copy()}


@mistake("a batch of 3 differs")
class FirstRowForAll(Session):
    def run(self, inputs):
        scores = super().run(inputs)["scores"]
        return {"scores": np.repeat(scores[:1], len(scores), axis=0)}


@mistake("lease: a batch of 3 differs|lease")
class LeasesOfOne(Session):
    @contextmanager
    def lease(self, batch=1):
        slot = Slot(self, batch)
        run = slot.run
        slot.run = lambda: {"scores": np.repeat(run()["scores"][:1], batch, axis=0)}  # type: ignore[method-assign]
        yield slot


@mistake("NaN or infinity")
class Unwritten(Session):
    def run(self, inputs):
        answer = super().run(inputs)["scores"]
        answer[:, -1] = np.nan
        return {"scores": answer}


@mistake("differs from the expected")
class SwappedChannels(Session):
    def run(self, inputs):
        return super().run({"image": inputs["image"][..., ::-1]})


@mistake("every value is one of float16")
class HalfForFull(Session):
    def run(self, inputs):
        return {"scores": linear(self.weights, inputs["image"], np.float16)}


@mistake("float16 was requested and is stated")
class FullForHalf(Session):
    def run(self, inputs):
        return {"scores": linear(self.weights, inputs["image"])}


@mistake("raised ValueError")
class ForeignError(Session):
    def run(self, inputs):
        if inputs["image"].mean() < 0.49:
            raise ValueError("rank")
        return super().run(inputs)


@mistake("timed out")
class DeadlockOfThreads(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.lock = threading.Lock()

    def run(self, inputs):
        if not self.lock.acquire(blocking=False):
            threading.Event().wait()
        time.sleep(0.002)
        self.lock.release()
        return super().run(inputs)


@mistake("lease")
class LeaseHidesErrors(Session):
    @contextmanager
    def lease(self, batch=1):
        try:
            yield Slot(self, batch)
        except Exception as error:
            raise RuntimeError("in a lease") from error


@mistake("timed out")
class LostAfterAnError(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.free = threading.Semaphore(8)

    @contextmanager
    def lease(self, batch=1):
        self.free.acquire()
        yield Slot(self, batch)
        self.free.release()


@mistake("share memory")
class OneSlot(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.slots: dict[int, Slot] = {}

    @contextmanager
    def lease(self, batch=1):
        if threading.current_thread() is threading.main_thread():
            yield self.slots.setdefault(batch, Slot(self, batch))
        else:
            yield Slot(self, batch)


@mistake("lease")
class LosesWrites(Session):
    @contextmanager
    def lease(self, batch=1):
        class Fresh(Slot):
            @property
            def inputs(self):
                return {"image": np.zeros((batch, 6, 6, 3), np.float32)}

            @inputs.setter
            def inputs(self, value):
                pass

        yield Fresh(self, batch)


@mistake("bytes of memory")
class KeepsEveryInput(Session):
    def run(self, inputs):
        self.__dict__.setdefault("kept", []).append(np.ones(100_000, np.float32))
        return super().run(inputs)


@mistake("descriptors")
class OpensAFileACall(Session):
    def run(self, inputs):
        self.__dict__.setdefault("kept", []).append(os.open(os.devnull, os.O_RDONLY))
        return super().run(inputs)


@mistake("threads")
class StartsAThreadACall(Session):
    def run(self, inputs):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().run(inputs)


@mistake("opened and closed kept .* threads|kept .* threads")
class KeepsAThreadASession(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        threading.Thread(target=threading.Event().wait, daemon=True).start()


@mistake("times their wall time")
class IgnoresThreads(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.pool = ThreadPoolExecutor(4)

    def run(self, inputs):
        # The digest of a large block releases the interpreter's lock.
        list(self.pool.map(lambda block: hashlib.sha256(block).digest(), [bytes(1_000_000)] * 4))
        return super().run(inputs)

    def close(self):
        self.pool.shutdown()


@mistake("printed to stdout")
class Prints(Session):
    def run(self, inputs):
        os.write(1, b"loaded\n")
        return super().run(inputs)


@mistake("changed the working directory")
class ChangesDirectory(Session):
    def run(self, inputs):
        os.chdir("/")
        return super().run(inputs)


@mistake("in the working directory")
class LeavesFiles(Session):
    def run(self, inputs):
        Path("kernel.cache").write_bytes(b"1")
        return super().run(inputs)


@mistake("the handling of signals")
class TakesSignals(Session):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@mistake("numpy.seterr")
class SilencesNumpy(Session):
    def run(self, inputs):
        np.seterr(all="ignore")
        return super().run(inputs)


@mistake("close")
class ClosesOnce(Session):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("close: closed already")
        self.closed = True


@mistake("an output|bytes|killed by SIGSEGV")
class Crashes(Sound):
    def weights(self, artifact):
        if not artifact.content:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().weights(artifact)


@mistake("expected ArtifactError, and nothing was raised")
class TakesAnything(Sound):
    def weights(self, artifact):
        return WEIGHTS


@mistake("expected ArtifactError, got ValueError")
class ForeignErrorOfDamage(Sound):
    def weights(self, artifact):
        return np.frombuffer(artifact.content, np.float32).reshape(108, 5)


@mistake("absent-model")
class LoadsByName(Sound):
    def weights(self, artifact):
        if artifact.name != "model.linear":
            raise ArtifactError(f"{artifact.name}: no such file")
        return super().weights(artifact)


@mistake("expected DeviceError, and nothing was raised")
class TakesAnyDevice(Sound):
    def open(self, artifact, settings):
        return super().open(artifact, replace(settings, device=None))


@mistake("expected OptionError, and nothing was raised")
class TakesAnyOption(Sound):
    def open(self, artifact, settings):
        return super().open(artifact, replace(settings, options={}))


@mistake("would run model.linear on cpu, not on gpu")
class FallsBack(Sound):
    known = ("cpu", "gpu")

    def open(self, artifact, settings):
        session = super().open(artifact, settings)
        session.device = "cpu"
        return session


@mistake("gpu")
class ListsADeviceItLacks(Sound):
    known = ("cpu", "gpu")

    def open(self, artifact, settings):
        if settings.device == "gpu":
            raise DeviceError("device 'gpu': no driver")
        return super().open(artifact, settings)


@mistake("returned a name twice")
class DevicesTwice(Sound):
    known = ("cpu", "cpu")


@mistake(r"devices\(\) returned \['cpu'\]")
class DevicesAsText(Sound):
    def devices(self):
        return ["cpu"]


@mistake("version")
class NoVersion(Sound):
    def version(self):
        return ""


@mistake("formats is")
class NoFormats(Sound):
    formats = None


@mistake("file_formats holds")
class FormatOfOthers(Sound):
    file_formats = (TFLITE,)


@mistake("more than its batch size is open")
class OpenHeight(Session):
    inputs = (TensorSpec("image", (None, None, 6, 3), "float32"),)


@mistake("describe returned")
class DescribesNothing(Sound):
    def describe(self, artifact):
        return None


@mistake("IndexError")
class CannotDescribeDamage(Sound):
    def describe(self, artifact):
        return ArtifactDescription(labels=(chr(artifact.content[0]),))


@mistake("companions returned")
class NamesFilesElsewhere(Sound):
    def companions(self, artifact) -> Sequence[Companion]:
        return [Companion("../weights.bin")]
