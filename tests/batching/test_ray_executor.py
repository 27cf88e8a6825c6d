"""Batches on a real Ray cluster of two machines, in processes of this one."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import edgevision
import edgevision_ray.executor
from batching.image_folders import write_images
from batching.ray_works import Faulty, Poisoned, Unopened
from batching.test_batch import rows_of, without_times
from edgevision import BatchSettings
from edgevision.errors import OptionError
from evaluation.tiny_bundle import write_tiny_bundle

ray = pytest.importorskip("ray", reason="needs the extra `ray`")
COUNT = 1000
RAY = BatchSettings(engine="ray", format="jsonl", workers=3, part_rows=200)
LOCAL = BatchSettings(format="jsonl")


def started() -> Any:
    """Two machines of one CPU each. A busy machine may need more than the 30 s after which Ray gives up."""
    from ray.cluster_utils import Cluster

    for _ in range(3):
        with suppress(Exception):
            head = {"num_cpus": 1, "include_dashboard": False, **ports()}
            nodes = Cluster(initialize_head=True, head_node_args=head)
            nodes.add_node(num_cpus=1, **ports())
            return nodes
        with warnings.catch_warnings():  # of processes that Ray left behind
            warnings.simplefilter("ignore")
            gc.collect()
    pytest.skip("Ray did not start within 30 s, three times: this machine is too busy")


def ports() -> dict[str, int]:
    """Free ports for a machine's agents: Ray waits 15 s for those that they would choose themselves."""
    names = (
        "metrics_agent_port",
        "metrics_export_port",
        "runtime_env_agent_port",
        "dashboard_agent_listen_port",
    )
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    tests = str(Path(__file__).parents[1])  # workers import from it
    os.environ["PYTHONPATH"] = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    nodes = started()
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.evb")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def expected(bundle: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("local") / "out"
    edgevision.batch(bundle, images, out, settings=LOCAL)
    return without_times(rows_of(out))


def actors() -> list[int]:
    """Processes of workers of this cluster: another one on this machine must not lose any."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::Worker") and is_below_this_process(int(entry.name)):
                found.append(int(entry.name))
    return found


def is_below_this_process(process: int) -> bool:
    """True for a child of this process, or a child's child, and so on."""
    while process > 1:
        if process == os.getpid():
            return True
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            return False
        process = int(stat.rpartition(")")[2].split()[1])
    return False


def test_rows_are_those_of_this_process(
    cluster: Any, bundle: Path, images: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A broken image among thousands is a row, and an actor that is killed costs nothing."""
    killed: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        if done > 100 and not killed:
            killed.extend(actors()[:1])
            os.kill(killed[0], signal.SIGKILL)

    run = edgevision.batch(bundle, images, tmp_path / "out", settings=RAY, progress=kill)
    assert killed
    assert (run.ok, run.failed, run.reused) == (COUNT, 1, 0)
    assert without_times(rows_of(tmp_path / "out")) == expected


# Failed once in five runs, on a busy machine, for a reason that was not seen.
@pytest.mark.slow
def test_a_machine_that_goes_takes_nothing_with_it(
    cluster: Any, bundle: Path, images: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    """And one that comes is used: the run that was broken off goes on."""
    extra = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    gone: list[bool] = []

    def remove(stage: str, done: int, total: int) -> None:
        if done > 200 and not gone:
            gone.append(True)
            cluster.remove_node(extra)
        if done > 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edgevision.batch(bundle, images, tmp_path / "out", settings=RAY, progress=remove)
    run = edgevision.batch(bundle, images, tmp_path / "out", settings=RAY)
    assert run.reused >= 600
    rows = without_times(rows_of(tmp_path / "out"))
    assert sorted(rows, key=lambda row: row["uri"]) == expected
    local = edgevision.batch(bundle, images, tmp_path / "out", settings=LOCAL)
    assert local.reused == COUNT + 1


def test_an_evaluation_has_the_figures_of_evaluate(cluster: Any, bundle: Path, tmp_path: Path) -> None:
    images, settings = write_images(tmp_path / "images", 150), BatchSettings("ray", workers=2)
    run = edgevision.batch(bundle, images, tmp_path / "out", settings=settings, evaluate=True)
    assert run.evaluation is not None
    found, expected = run.evaluation.to_dict(), edgevision.evaluate(bundle, images).to_dict()
    moments = ("created", "machine")
    assert {name: found[name] for name in found if name not in moments} == {
        name: expected[name] for name in expected if name not in moments
    }


def executor() -> Any:
    from edgevision.plugins import registry

    return registry().executor("ray")


def test_an_image_that_kills_its_process_takes_no_other_with_it(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert edgevision_ray.executor._RETRIES == 2  # "three times" in docs/scale.md; each costs Ray seconds
    monkeypatch.setattr(edgevision_ray.executor, "_RETRIES", 0)
    answers = list(executor().run(Poisoned(), iter([[1, 2], [3, 4, 5], [6]]), 2))
    assert answers == [[2, 4], [6, -4, 10], [12]]


def test_errors_of_workers_are_raised_here(cluster: Any) -> None:
    with pytest.raises(OptionError, match="another bundle is there"):
        list(executor().run(Unopened(), iter([[1]]), 1))
    with pytest.raises(edgevision.errors.InferenceError, match="a worker failed: ValueError: wrong"):
        list(executor().run(Faulty(), iter([[1]]), 1))


def test_more_workers_than_have_a_place_are_refused(cluster: Any) -> None:
    with pytest.raises(OptionError, match="which hold 32 workers at most, got 33; pass fewer"):
        list(executor().run(Poisoned(), iter([[1]]), 33))


def test_a_cluster_of_this_machine_ends_with_the_command(
    bundle: Path, images: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    """Nothing of it stays: no process, and no file in the folder for temporary files."""
    few = tmp_path / "few.txt"
    few.write_text("\n".join(str(path) for path in sorted(images.rglob("*.png"))[:50]))
    with tempfile.TemporaryDirectory(prefix="t") as temporary:
        words = ("batch", bundle, f"@{few}", "-o", "out", "--engine", "ray", "--workers", 2, "--json")
        done = edgevision_command(*words, TMPDIR=temporary)
        assert not list(Path(temporary).iterdir())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] == 50
    assert "ray" not in done.stderr.lower().replace("executor 'ray'", "")
