"""Worker processes: whatever happens to the child, its caller gets an answer or an error that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgevision import errors
from edgevision.errors import EdgeVisionError, InferenceError, PluginError, ProcessError
from edgevision.execution.messages import Message
from edgevision.execution.worker import Worker

JOBS = """
    import os, signal, subprocess, sys, time
    import numpy as np
    from edgevision.errors import ArtifactError, MissingRuntimeError
    from edgevision.execution.messages import Message

    def double(request):
        print("libraries print to stdout")
        os.write(1, b"and so does C")
        return Message({"was": request.fields}, {name: 2 * v for name, v in request.arrays.items()})

    def process(request):
        return Message({"pid": os.getpid(), "modules": sorted(sys.modules), "path": sys.path})

    def numpy_is_at(request):
        return Message({"file": np.__file__})

    def abort(request):
        os.write(2, b"corrupt scale\\nin operator 7\\n")
        os.abort()

    def killed(request):
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(request):
        os._exit(7)

    def refuse(request):
        raise ArtifactError("tiny.tflite: not a valid TFLite model")

    def lacks_runtime(request):
        raise MissingRuntimeError("openvino", "openvino is not installed")

    def fail(request):
        raise ZeroDivisionError("no such number")

    def fail_with_fields(request):
        return Message({"error": "is a field like any other"})

    def stay(request):
        os.write(2, b"still here")
        with open(request.fields["file"], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)

    def many(request):
        return Message({}, {"zeros": np.zeros(request.fields["count"], np.uint8)})

    def garbage(request):
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b"x" * 100)
            except OSError:
                pass
        time.sleep(600)

    def with_child(request):
        child = subprocess.Popen(["sleep", "600"])
        return Message({"pid": child.pid})
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory):
    """A module of jobs on the path of this process, which that of the child follows."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "worker_jobs.py").write_text(textwrap.dedent(JOBS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import worker_jobs

        yield worker_jobs


@pytest.fixture
def worker():
    with Worker() as worker:
        yield worker


def _ask(worker: Worker, job, timeout_s: float = 60, **fields) -> Message:
    return worker.ask(job, Message(fields), what="tflite-int8", timeout_s=timeout_s)


def _is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "\nState:\tZ" not in status.read_text()
    except OSError:
        return False


def _wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        if not _is_running(pid):
            return True
        time.sleep(0.05)
    return False


def test_fields_and_arrays_come_back_as_they_were_sent(jobs, worker: Worker) -> None:
    arrays = {
        "image": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "flipped": np.arange(24, dtype=np.int8).reshape(4, 6)[:, ::-1],
        "none": np.zeros((0, 3), np.float16),
        "one": np.array(7, np.int64),
    }
    fields = {"name": "ä", "list": [1, 2.5, None, True], "inner": {"a": "b"}}
    answer = worker.ask(jobs.double, Message(fields, arrays), what="x", timeout_s=60)
    assert answer.fields == {"was": fields}
    for name, sent in arrays.items():
        got = answer.arrays[name]
        assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
        np.testing.assert_array_equal(got, 2 * sent)
    answer.arrays["image"][...] = 0  # the caller owns it


def test_one_child_answers_all_requests_and_imports_no_converter(jobs, worker: Worker) -> None:
    first, second = (_ask(worker, jobs.process).fields for _ in range(2))
    assert first["pid"] == second["pid"] != os.getpid()
    assert not {"tensorflow", "keras"} & {name.partition(".")[0] for name in first["modules"]}
    worker.close()
    assert _wait_until_gone(first["pid"])
    assert _ask(worker, jobs.process).fields["pid"] != first["pid"], "a closed worker starts again"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (
            "abort",
            r"^tflite-int8: killed by SIGABRT in a process of its own: .*corrupt scale \| in operator 7",
        ),
        ("killed", r"^tflite-int8: killed by SIGKILL \(out of memory\?\) in a process of its own"),
        ("leave", r"^tflite-int8: ended with exit status 7 in a process of its own$"),
    ],
)
def test_the_end_of_the_child_is_an_error_that_says_how_and_the_next_request_has_a_new_child(
    jobs, worker: Worker, job: str, words: str
) -> None:
    with pytest.raises(ProcessError, match=words):
        _ask(worker, getattr(jobs, job))
    assert _ask(worker, jobs.process).fields["pid"]


def test_what_a_job_raises_arrives_as_it_is(jobs, worker: Worker) -> None:
    with pytest.raises(errors.ArtifactError, match=r"^tiny\.tflite: not a valid TFLite model$"):
        _ask(worker, jobs.refuse)
    with pytest.raises(PluginError, match=r'openvino is not installed; run: pip install "edgevision\[openv'):
        _ask(worker, jobs.lacks_runtime)
    with pytest.raises(InferenceError, match=r"^tflite-int8: ZeroDivisionError: no such number \(in a proc"):
        _ask(worker, jobs.fail)
    assert _ask(worker, jobs.fail_with_fields).fields == {"error": "is a field like any other"}


def test_a_child_that_hangs_is_ended_at_the_deadline(jobs, worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"^tflite-int8: timed out after 3 s .*still here$"):
        _ask(worker, jobs.stay, timeout_s=3, file=str(tmp_path / "pid"))
    assert _wait_until_gone(int((tmp_path / "pid").read_text()))


def test_an_answer_is_not_read_if_it_is_too_large_or_no_message(jobs) -> None:
    with Worker(most_answer_bytes=1000) as worker:
        assert _ask(worker, jobs.many, count=1000).arrays["zeros"].size == 1000
        with pytest.raises(InferenceError, match="a message of .* bytes came from another process"):
            _ask(worker, jobs.many, count=1001)
        with pytest.raises(InferenceError, match="a message of .* bytes came from another process"):
            _ask(worker, jobs.garbage)
        assert _ask(worker, jobs.process).fields["pid"]


def test_a_request_that_the_child_cannot_read_is_an_error_at_once(jobs, worker: Worker) -> None:
    words = r"^tflite-int8: ended with exit status 1 .*: the request cannot be read: InferenceError: a mess"
    with pytest.raises(ProcessError, match=words):
        _ask(worker, jobs.process, text="x" * 17_000_000)
    assert _ask(worker, jobs.process).fields["pid"]


def test_children_of_the_child_end_with_it(jobs) -> None:
    with Worker() as worker:
        pid = _ask(worker, jobs.with_child).fields["pid"]
        assert _is_running(pid)
    assert _wait_until_gone(pid)


def test_threads_share_a_worker(jobs, worker: Worker) -> None:
    got: dict[int, int] = {}

    def ask(number: int) -> None:
        request = Message({}, {"x": np.full(100_000, number)})
        got[number] = int(worker.ask(jobs.double, request, what="x", timeout_s=60).arrays["x"][-1])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: 2 * number for number in range(6)}


def _script(tmp_path: Path, code: str) -> Path:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the numpy.py of the working directory')")
    (tmp_path / "types.py").write_text("raise SystemExit('the types.py of the working directory')")
    script = tmp_path / "scripts" / "train.py"
    script.parent.mkdir()
    (script.parent / "queue.py").write_text("raise SystemExit('the queue.py beside the script')")
    script.write_text(textwrap.dedent(code))
    return script


def test_neither_main_nor_files_of_the_user_run_in_the_child(tmp_path: Path) -> None:
    """The script has no ``if __name__``, and modules of Python and numpy have namesakes beside it."""
    script = _script(
        tmp_path,
        """
        import os, sys
        beside = sys.path.pop(0)
        from edgevision.execution.first_run import requested_backend
        from edgevision.execution.messages import Message
        from edgevision.execution.worker import Worker
        sys.path[:0] = [beside, "", os.getcwd()]
        print("the script runs")
        with Worker() as worker:
            try:
                worker.ask(os.getpid, Message(), what="x", timeout_s=60)
            except Exception as error:
                print(type(error).__name__, error)
        """,
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "the script runs",
        "InferenceError x: TypeError: posix.getpid() takes no arguments (1 given) (in a process of its own)",
    ], done.stderr


def test_pythonpath_is_kept(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "vendor_jobs.py").write_text(
        "from edgevision.execution.messages import Message\n"
        "def job(request): return Message({'done': True})\n"
    )
    code = """
        import vendor_jobs
        from edgevision.execution.messages import Message
        from edgevision.execution.worker import Worker
        with Worker() as worker:
            print(worker.ask(vendor_jobs.job, Message(), what="x", timeout_s=60).fields)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "vendor")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "{'done': True}", done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="numpy cannot be imported there on Python 3.13")
def test_a_deleted_working_directory_is_no_obstacle(tmp_path: Path) -> None:
    code = """
        import os, shutil, sys
        shutil.rmtree(os.getcwd())
        from edgevision.execution.messages import Message
        from edgevision.execution.run_costs import _run_for
        from edgevision.execution.worker import Worker
        with Worker() as worker:
            try:
                worker.ask(_run_for, Message({"seconds": 0}), what="x", timeout_s=60)
            except Exception as error:
                print(error)
    """
    folder = tmp_path / "gone"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("x: IndexError: list index out of range"), done.stdout + done.stderr


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_the_child_ends_with_its_parent(jobs, tmp_path: Path, how: str) -> None:
    code = """
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path.append(sys.argv[1])
        import worker_jobs
        from edgevision.execution.messages import Message
        from edgevision.execution.worker import Worker
        Worker().ask(worker_jobs.stay, Message({"file": sys.argv[2]}), what="x", timeout_s=600)
    """
    file = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(Path(jobs.__file__).parent), str(file)],
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(600):
            if file.exists() and file.read_text():
                break
            time.sleep(0.05)
        pid = int(file.read_text())
        parent.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
        _, stderr = parent.communicate(timeout=30)
    finally:
        parent.kill()
    assert how == "kill" or b"KeyboardInterrupt" in stderr
    assert _wait_until_gone(pid)


def test_every_error_that_takes_a_message_alone_survives_the_way_back() -> None:
    from edgevision.execution.worker import _error

    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, EdgeVisionError):
            got = _error({"error": kind.__name__, "message": "why"}, "x")
            assert isinstance(got, EdgeVisionError)
            assert str(got) == "why"
