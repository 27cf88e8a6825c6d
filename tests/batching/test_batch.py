"""batch(): a table with one row per image, gone on with after any end of the run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from batching.image_folders import BROKEN, write_images
from edgevision import BatchRun, BatchSettings
from edgevision.backend import SessionSettings
from edgevision.batching.rows import BatchRow
from edgevision.batching.table_forms import COLUMNS, table_form
from edgevision.errors import InputError, OptionError, OutputError, PluginError
from edgevision.evaluation.open_model import RunSettings
from evaluation.tiny_bundle import write_tiny_bundle

COUNT = 60
JSONL = BatchSettings(format="jsonl")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.evb")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), COUNT)


def rows_of(folder: Path, form: str = "jsonl") -> list[BatchRow]:
    reader = table_form(form)
    parts = sorted(folder.glob(f"part-*{reader.suffix}"))
    return [row for part in parts for row in reader.read(part)]


def without_times(rows: list[BatchRow]) -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(row).items() if not name.endswith("_ms")} for row in rows]


def counts(run: BatchRun) -> tuple[int, int, int, int]:
    return run.ok, run.failed, run.abstained, run.reused


def test_each_image_has_a_row_with_what_predict_says(bundle: Path, images: Path, tmp_path: Path) -> None:
    run = edgevision.batch(bundle, images, tmp_path / "out", settings=JSONL)
    rows = rows_of(tmp_path / "out")
    assert counts(run) == (COUNT, 1, 0, 0)
    assert [row.uri for row in rows] == sorted(str(path) for path in images.rglob("*.png"))
    model = edgevision.load_classifier(bundle, threads=1)
    digest = model.bundle_digest
    for row in rows[:8]:
        content = Path(row.uri).read_bytes()
        assert row.sha256 == hashlib.sha256(content).hexdigest()
        assert (row.bundle_digest, row.backend, row.precision) == (digest, "tflite", "float32")
        if row.uri.endswith(BROKEN):
            assert row.status.startswith("failed: InputError: ")
            assert row.result is None
        else:
            assert row.status == "ok"
            assert row.result == model(row.uri).to_dict(5)
            assert (row.predict_ms or 0) > 0


def test_both_formats_and_any_number_of_workers_give_the_same_rows(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas", reason="needs the extra `parquet`")
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    edgevision.batch(bundle, images, tmp_path / "parquet", settings=BatchSettings(workers=3, part_rows=7))
    edgevision.batch(bundle, images, tmp_path / "jsonl", settings=BatchSettings(format="jsonl", workers=1))
    first = without_times(rows_of(tmp_path / "parquet", "parquet"))
    assert first == without_times(rows_of(tmp_path / "jsonl"))
    table = pandas.read_parquet(tmp_path / "parquet")  # the folder, as other programs read it
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == COUNT + 1
    assert json.loads(table.result[1]) == first[1]["result"]


def test_only_what_is_new_or_changed_is_worked_on(bundle: Path, tmp_path: Path) -> None:
    images, out = write_images(tmp_path / "images", 20), tmp_path / "out"
    settings = BatchSettings(format="jsonl", part_rows=6)
    edgevision.batch(bundle, images, out, settings=settings)
    before = {row.uri: row for row in rows_of(out)}
    touched, changed = images / "a" / "00000.png", images / "b" / "00001.png"
    os.utime(touched, (1, 1))
    changed.write_bytes((images / "c" / "00002.png").read_bytes())
    write_images(images, 21)  # one more; and what was changed is back but for its time
    changed.write_bytes((images / "c" / "00002.png").read_bytes())
    for path in images.rglob("*.png"):
        if str(path) in before and path != changed:
            os.utime(path, ns=(1, int(before[str(path)].modified)))
    os.utime(touched, (1, 1))
    run = edgevision.batch(bundle, images, out, settings=settings)
    after = {row.uri: row for row in rows_of(out)}
    assert counts(run) == (21, 1, 0, 20)  # the touched one was read, and has its row
    assert len(rows_of(out)) == len(after) == 22
    different = {uri for uri, row in after.items() if row != before.get(uri)}
    assert different == {str(changed), str(images / "a" / "00020.png")}
    assert after[str(changed)].sha256 == before[str(images / "c" / "00002.png")].sha256


def test_what_could_not_be_read_is_tried_again(bundle: Path, tmp_path: Path) -> None:
    images, out = write_images(tmp_path / "images", 5), tmp_path / "out"
    names = ["a/00000.png", "away/late.png"]
    listed = images / "list.txt"
    listed.write_text("\n".join(names))
    first = edgevision.batch(bundle, f"@{listed}", out, settings=JSONL)
    assert counts(first) == (1, 1, 0, 0)
    assert "No such file" in next(row.status for row in rows_of(out) if row.status != "ok")
    (images / "away").mkdir()
    (images / "b" / "00001.png").rename(images / "away" / "late.png")
    second = edgevision.batch(bundle, f"@{listed}", out, settings=JSONL)
    assert counts(second) == (2, 0, 0, 1)
    assert len(rows_of(out)) == 2


def test_a_run_killed_at_any_moment_goes_on_with_nothing_twice_and_nothing_lost(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    """kill -9 while parts are written, again and again."""
    program = (
        "import sys, edgevision\n"
        "from edgevision.batching import prediction\n"
        "import time\n"
        "read = prediction._Predictor._rows\n"
        "def slow(self, unit):\n"
        "    time.sleep(0.01)\n"
        "    return read(self, unit)\n"
        "prediction._Predictor._rows = slow\n"
        "settings = edgevision.BatchSettings(format='jsonl', workers=1, part_rows=3)\n"
        "edgevision.batch(*sys.argv[1:4], settings=settings)\n"
    )
    out = tmp_path / "out"
    kept = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program, bundle, images, out]) as run:
            while run.poll() is None and len(list(out.glob("part-*"))) < kept + 2:
                time.sleep(0.002)
            run.send_signal(signal.SIGKILL)
        assert run.returncode == -signal.SIGKILL
        rows = rows_of(out)
        assert len({row.uri for row in rows}) == len(rows)
        kept = len(list(out.glob("part-*")))
    run_again = edgevision.batch(bundle, images, out, settings=BatchSettings(format="jsonl", part_rows=3))
    uris = [row.uri for row in rows_of(out)]
    assert sorted(uris) == sorted(str(path) for path in images.rglob("*.png"))
    assert run_again.reused == 3 * kept
    assert not [path.name for path in out.iterdir() if not path.name.startswith(("part-", "_batch.json"))]


def test_two_rows_about_one_image_become_one(bundle: Path, images: Path, tmp_path: Path) -> None:
    """A run that is killed between its last part and the removal of the rows that it replaces leaves both."""
    out = tmp_path / "out"
    edgevision.batch(bundle, images, out, settings=JSONL)
    form = table_form("jsonl")
    rows = rows_of(out)
    later = [BatchRow(**{**vars(row), "predict_ms": -1.0}) for row in rows[3:5]]
    form.write(out / "part-000001.jsonl", later)
    run = edgevision.batch(bundle, images, out, settings=JSONL)
    assert counts(run) == (COUNT, 1, 0, COUNT + 1)
    assert sorted(vars(row)["uri"] for row in rows_of(out)) == sorted(row.uri for row in rows)
    assert [row.predict_ms for row in rows_of(out)].count(-1.0) == 2


def archive(folder: Path, path: Path) -> str:
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(folder.rglob("*.png")):
            file.write(image, image.relative_to(folder).as_posix())
    return str(path)


def table(folder: Path, path: Path) -> str:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    import pyarrow
    import pyarrow.parquet

    files = sorted(folder.rglob("*.png"))
    columns = {
        "image": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
        "file": [file.relative_to(folder).as_posix() for file in files],
        "class": [file.parent.name for file in files],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
    return str(path)


def text_list(folder: Path, path: Path) -> str:
    path.with_suffix(".txt").write_text("\n".join(map(str, sorted(folder.rglob("*.png")))) + "\n")
    return f"@{path.with_suffix('.txt')}"


def json_list(folder: Path, path: Path) -> str:
    lines = [json.dumps({"path": str(file), "more": 1}) for file in sorted(folder.rglob("*.png"))]
    path.with_suffix(".jsonl").write_text("\n".join(lines))
    return f"@{path.with_suffix('.jsonl')}"


SOURCES: dict[str, Callable[[Path, Path], str]] = {
    "a zip": lambda folder, path: archive(folder, path.with_suffix(".zip")),
    "Parquet": lambda folder, path: table(folder, path.with_suffix(".parquet")),
    "a list": text_list,
    "a list of objects": json_list,
    "a pattern": lambda folder, path: f"{folder}/*/*.png",
    "a folder twice": lambda folder, path: str(folder),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_source_gives_the_same_results(
    source: str, bundle: Path, images: Path, tmp_path: Path
) -> None:
    named = SOURCES[source](images, tmp_path / "source")
    edgevision.batch(bundle, images, tmp_path / "folder", settings=JSONL)
    edgevision.batch(bundle, [named, named], tmp_path / "out", settings=JSONL)
    expected, found = rows_of(tmp_path / "folder"), rows_of(tmp_path / "out")
    assert [row.sha256 for row in found] == [row.sha256 for row in expected]
    assert [row.result for row in found] == [row.result for row in expected]
    assert len({row.uri for row in found}) == COUNT + 1
    again = edgevision.batch(bundle, named, tmp_path / "out", settings=JSONL)
    assert again.reused == COUNT + 1


def refused(problem: str, folder: Path) -> tuple[Any, BatchSettings]:
    source: Any = folder
    settings = JSONL
    if problem == "no images":
        source = folder / "empty"
        source.mkdir()
    elif problem == "a damaged table":
        source = folder / "damaged.parquet"
        source.write_bytes(b"PAR1 and nothing else")
    elif problem == "an unknown column":
        source, settings = (
            table(folder, folder / "some.parquet"),
            BatchSettings(format="jsonl", image_column="class"),
        )
    elif problem == "a list that is not marked":
        source = text_list(folder, folder / "some")[1:]
    elif problem == "an unknown file system":
        pytest.importorskip("fsspec", reason="needs the extra `remote`")
        source = "nowhere://bucket/folder"
    elif problem == "an unknown host":
        pytest.importorskip("fsspec", reason="needs the extra `remote`")
        source = "ftp://no-such-host.invalid/a.png"
    elif problem == "a store without its package":
        pytest.importorskip("fsspec", reason="needs the extra `remote`")
        if importlib.util.find_spec("gcsfs") is not None:
            pytest.skip("gcsfs is installed")
        source = "gs://bucket/folder"
    elif problem == "an unknown argument":
        settings = BatchSettings(format="jsonl", call={"score_threshold": 0.5})
    elif problem == "an unknown executor":
        settings = BatchSettings(format="jsonl", engine="locl")
    elif problem == "not JSON":
        source = folder / "list.jsonl"
        source.write_text("{")
        source = f"@{source}"
    else:
        source = folder / problem
    return source, settings


PROBLEMS = {
    "no images": (InputError, "no images found"),
    "missing": (InputError, "does not exist"),
    "a damaged table": (InputError, "not a valid Parquet file"),
    "an unknown column": (OptionError, "'class' does not hold bytes; columns with bytes: image"),
    "a list that is not marked": (OptionError, "for a list of them, pass @"),
    "an unknown file system": (OptionError, "'nowhere' is not known to fsspec"),
    "an unknown host": (InputError, "cannot be read: gaierror"),
    "a store without its package": (PluginError, "run: pip install gcsfs"),
    "an unknown argument": (OptionError, "no argument 'score_threshold' of a Classifier"),
    "an unknown executor": (edgevision.errors.MissingPluginError, "did you mean 'local'?"),
    "not JSON": (InputError, "line 1"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_wrong_with_a_source_is_said(problem: str, bundle: Path, tmp_path: Path) -> None:
    kind, message = PROBLEMS[problem]
    source, settings = refused(problem, write_images(tmp_path / "images", 2))
    with pytest.raises(kind) as caught:
        edgevision.batch(bundle, source, tmp_path / "out", settings=settings)
    assert message in str(caught.value)


def test_results_of_something_else_are_never_mixed_in(bundle: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    edgevision.batch(bundle, images, out, settings=JSONL)
    with pytest.raises(OptionError, match="has results with top null, and this run has 2; choose another"):
        edgevision.batch(bundle, images, out, settings=BatchSettings(format="jsonl", top=2))
    other = write_tiny_bundle(tmp_path / "other.evb", "sigmoid")
    with pytest.raises(OptionError, match="has results with bundle digest"):
        edgevision.batch(other, images, out, settings=JSONL)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not results of a batch"):
        edgevision.batch(bundle, images, tmp_path / "taken", settings=JSONL)
    (out / "part-000000.jsonl").write_text('{"uri"')
    with pytest.raises(OutputError, match="remove it, and run again"):
        edgevision.batch(bundle, images, out, settings=JSONL)


def test_a_run_without_a_result_keeps_no_other_out(bundle: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        edgevision.batch(bundle, tmp_path / "absent", tmp_path / "out", settings=JSONL)
    run = edgevision.batch(bundle, images, tmp_path / "out", settings=BatchSettings(format="jsonl", top=1))
    assert run.ok == COUNT
    assert all('"top": 1' in path.read_text() for path in (tmp_path / "out").glob("_batch.json"))


def test_results_inside_the_folder_of_the_images_are_no_source(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    shards = tmp_path / "shards"
    shards.mkdir()
    table(write_images(tmp_path / "images", 4), shards / "0.parquet")
    settings = BatchSettings(format="parquet", image_column="image")
    for reused in (0, 5):
        run = edgevision.batch(bundle, shards, shards / "out", settings=settings)
        assert (run.ok, run.reused) == (4, reused)
    for _ in range(2):
        run = edgevision.batch(bundle, tmp_path / "images", tmp_path / "images" / "out", settings=JSONL)
        assert not [one for one in run.left_out if "out" in one.path.parts]


def test_one_process_at_a_time_writes_a_table(bundle: Path, images: Path, tmp_path: Path) -> None:
    def inside(stage: str, done: int, total: int) -> None:
        with pytest.raises(OutputError, match="another process writes results there"):
            edgevision.batch(bundle, images, tmp_path / "out", settings=JSONL)

    edgevision.batch(bundle, images, tmp_path / "out", settings=JSONL, progress=inside)


def test_an_interrupted_run_keeps_the_rows_that_it_has(bundle: Path, images: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edgevision.batch(bundle, images, tmp_path / "out", settings=JSONL, progress=interrupt)
    kept = rows_of(tmp_path / "out")
    assert len(kept) == 16
    assert json.loads((tmp_path / "out" / "_batch.json").read_text())["state"] == "running"
    run = edgevision.batch(bundle, images, tmp_path / "out", settings=JSONL)
    assert run.reused == 16
    assert json.loads((tmp_path / "out" / "_batch.json").read_text())["state"] == "complete"


def test_a_file_name_that_is_not_utf8_is_a_row(bundle: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    source = tmp_path / "source"
    source.mkdir()
    name = os.fsdecode(b"\xff.png")
    try:
        (source / name).write_bytes((images / "b" / "00001.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    (source / os.fsdecode(b"\xfe.png")).write_bytes(b"no image")
    for form in ("jsonl", "parquet"):
        settings = BatchSettings(format=form)
        assert counts(edgevision.batch(bundle, source, tmp_path / form, settings=settings)) == (1, 1, 0, 0)
        uris = [row.uri for row in rows_of(tmp_path / form, form)]
        assert uris == [f"{source}/\\udcfe.png", f"{source}/\\udcff.png"]
        again = edgevision.batch(bundle, source, tmp_path / form, settings=settings)
        assert counts(again) == (1, 1, 0, 2)


def test_a_table_of_images_that_was_written_anew_is_read_anew(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    import pyarrow
    import pyarrow.parquet

    files = sorted(images.glob("b/*.png"))[:4]
    for some in (files[:2], files[2:]):
        contents = [file.read_bytes() for file in some]
        pyarrow.parquet.write_table(pyarrow.table({"image": contents}), tmp_path / "some.parquet")
        edgevision.batch(bundle, tmp_path / "some.parquet", tmp_path / "out", settings=JSONL)
        found = [row.sha256 for row in rows_of(tmp_path / "out")]
        assert found == [hashlib.sha256(content).hexdigest() for content in contents]


def test_rows_of_another_column_are_not_taken_for_those_of_this_one(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    import pyarrow
    import pyarrow.parquet

    one, two = (file.read_bytes() for file in sorted(images.glob("b/*.png"))[:2])
    path, out = tmp_path / "some.parquet", tmp_path / "out"
    pyarrow.parquet.write_table(pyarrow.table({"left": [one], "right": [two]}), path)
    edgevision.batch(bundle, path, out, settings=BatchSettings(format="jsonl", image_column="left"))
    with pytest.raises(OptionError, match="has results with image column left, and this run has right"):
        edgevision.batch(bundle, path, out, settings=BatchSettings(format="jsonl", image_column="right"))


@pytest.mark.parametrize(
    ("column", "value"), [("status", 5), ("status", "well"), ("sha256", "zz"), ("uri", None), ("result", [])]
)
def test_a_part_with_other_values_is_refused(
    column: str, value: object, bundle: Path, images: Path, tmp_path: Path
) -> None:
    edgevision.batch(bundle, images / "b" / "00001.png", tmp_path, settings=JSONL)
    part = tmp_path / "part-000000.jsonl"
    part.write_text(json.dumps({**json.loads(part.read_text()), column: value}) + "\n")
    with pytest.raises(OutputError, match=f"not a part of a table of results: {column} is"):
        edgevision.batch(bundle, images / "b" / "00001.png", tmp_path, settings=JSONL)


def test_a_result_that_json_has_no_form_for_fails_alone(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = iter([{"score": float("nan")}])
    own = edgevision.Classification.to_dict
    monkeypatch.setattr(
        edgevision.Classification, "to_dict", lambda self, *top: next(documents, None) or own(self, *top)
    )
    run = edgevision.batch(bundle, images / "b", tmp_path / "out", settings=JSONL)
    assert run.failed == 1
    assert run.ok == len(list((images / "b").iterdir())) - 1


def test_arguments_of_a_call_are_json_values() -> None:
    assert BatchSettings(call={"score_threshold": np.float32(0.5)}).call == {"score_threshold": 0.5}
    with pytest.raises(OptionError, match="call: expected JSON values"):
        BatchSettings(call={"score_threshold": object()})


def test_a_folder_says_what_it_has_before_how_that_came_about(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    edgevision.batch(bundle, images / "b", out, settings=JSONL)
    with pytest.raises(
        OptionError, match="has results with content predictions, and this run has evaluation"
    ):
        edgevision.batch(bundle, images, out, evaluate=True)
    (out / "_batch.json").write_text('{"schema_version": 1, "started": "", "facts": []}')
    with pytest.raises(OutputError, match="choose another folder"):
        edgevision.batch(bundle, images / "b", out, settings=JSONL)


@pytest.mark.parametrize("missing", ["nothing", "nothing/*.png", "@nothing.txt"])
def test_a_source_that_is_missing_is_told_before_the_others_are_worked_on(
    missing: str, bundle: Path, images: Path, tmp_path: Path
) -> None:
    told: list[int] = []
    with pytest.raises(InputError, match="nothing"):
        edgevision.batch(
            bundle,
            [images, missing],
            tmp_path / "out",
            settings=JSONL,
            progress=lambda stage, done, total: told.append(done),
        )
    assert not told


def test_rows_of_other_threads_are_not_gone_on_from(bundle: Path, images: Path, tmp_path: Path) -> None:
    edgevision.batch(bundle, images / "b", tmp_path / "out", settings=JSONL)
    on = RunSettings(settings=SessionSettings(threads=2))
    with pytest.raises(OptionError, match="has results with threads null, and this run has 2"):
        edgevision.batch(bundle, images / "b", tmp_path / "out", on, settings=JSONL)
