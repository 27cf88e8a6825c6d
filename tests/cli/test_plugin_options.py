"""Options of plugins, on the command line and in targets files.

A backend, two converters and three readers: the backend runs LiteRT, and the converters give the tiny network
that was converted before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edgevision import cli
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.conversion.settings import ConversionRequest
from edgevision.evidence.records import Evidence
from edgevision.imaging.write import write_image
from edgevision.plugins import registry
from edgevision.system.progress import Progress
from tiny_bundles import DATA, classifier_artifact, write_artifacts

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

KIT = """
import numpy as np
from dataclasses import replace
from edgevision import hookimpl
from edgevision.errors import OptionError
from edgevision.plugins import registry
from conversion.tiny_conversion import TinyReader, tiny_artifact

class Kit:
    name, formats, options = "kit", ("tflite",), ("turn", "strange")

    def version(self):
        return "kit 1"

    def devices(self):
        return registry().backend("tflite").devices()

    def open(self, artifact, settings):
        settings.check_options(self.name, self.options)
        turn = settings.options.get("turn", 0)
        if type(turn) is not int:
            raise OptionError(f"backend 'kit': option 'turn': expected a whole number, got {turn!r}")
        len(settings.options.get("strange", ""))
        session = registry().backend("tflite").open(artifact, replace(settings, options={}))
        run = session.run

        class Turned:
            inputs, outputs, device, precision = session.inputs, session.outputs, "cpu", session.precision

            def run(self, inputs):
                found = run(inputs)
                return {name: np.roll(array, turn, -1) for name, array in found.items()}

            def close(self):
                session.close()

        return Turned()

class Converter:
    name, kind, format, precisions = "kit-tflite", "tiny", "tflite", ("float32",)
    options = ("level", "strange")

    def __init__(self, **stated):
        self.stated = stated

    def with_options(self, options):
        if type(options.get("level", 0)) is not int:
            raise OptionError(f"option 'level': expected a number, got {options['level']!r}")
        len(options.get("strange", ""))
        return Converter(**options)

    def convert(self, source, precision, calibration):
        made = tiny_artifact(precision)
        return replace(made, files={f"level{self.stated.get('level', 'less')}.tflite": made.content})

class Plain:
    name, kind, format, precisions = "plain-tflite", "tiny", "tflite", ("float32",)

    def convert(self, source, precision, calibration):
        return replace(tiny_artifact(precision), files={"plain.tflite": tiny_artifact(precision).content})

class Second(TinyReader):
    name = "second"

    def reads(self, path):
        return path.stem == "both"

class Broken(TinyReader):
    name = "broken"

    def reads(self, path):
        return False

    def read(self, path, **_):
        raise KeyError("no such layer")

@hookimpl
def edgevision_backends():
    return [Kit()]

@hookimpl
def edgevision_converters():
    return [Converter(), Plain()]

@hookimpl
def edgevision_readers():
    return [TinyReader(), Second(), Broken()]
"""
TARGET = """
[{name}]
description = "a camera"
backend = "kit"
format = "tflite"
precisions = ["float32"]
{options}
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an installed plugin, models, images, a bundle and targets files."""
    folder = tmp_path_factory.mktemp("options")
    metadata = folder / "site" / "kit_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "site" / "kit_plugin.py").write_text(KIT)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kit-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[edgevision]\nkit = kit_plugin\n")
    random = np.random.default_rng(0)
    for number in range(20):
        (folder / "images" / "abcde"[number % 5]).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        write_image(folder / "images" / "abcde"[number % 5] / f"{number:02d}.png", pixels)
    for name in ("model", "both"):
        (folder / f"{name}.tiny").write_bytes(b"")
    write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()}, labels=tuple("abcde"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA.parent))
        patch.syspath_prepend(str(folder / "site"))
        registry.cache_clear()
        yield folder
    registry.cache_clear()


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the folder."""
    monkeypatch.chdir(folder)

    def run(*words: str) -> Done:
        monkeypatch.setattr("sys.argv", ["edgevision", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def convert(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Converts the tiny network for targets whose lines of TOML are the first argument.

    In this process, which takes a tenth of the time, unless it says otherwise.
    """

    def here(asked: ConversionRequest, limits: object, progress: Progress | None) -> Evidence:
        return Conversion.prepare(asked, registry(), progress).run()

    def convert(
        options: str, *words: str, model: str = "model.tiny", targets: int = 1, isolated: bool = False
    ) -> Done:
        if not isolated:
            monkeypatch.setattr("edgevision.conversion.convert.convert_isolated", here)
        names = [f"camera{number}" for number in range(targets)]
        tables = [TARGET.format(name=name, options=options.format(number=n)) for n, name in enumerate(names)]
        (folder / "targets.toml").write_text("".join(tables))
        stated = [word for name in names for word in ("--target", name)]
        return run(
            *("convert", model, *stated, "--targets-file", "targets.toml", "--evaluation", "images"),
            *("--output-name", "scores", "--accept-not-shown", "-o", "made.evb", "--force", *words),
        )

    return convert


def test_a_backends_option_reaches_it(run: Run) -> None:
    def label(*words: str) -> str:
        done = run("predict", "tiny.evb", "images/a/00.png", "--backend", "kit", "--json", *words)
        assert done.code == 0, done.err
        return str(json.loads(done.out)["classes"][0]["class_id"])

    assert (int(label("--backend-option", "turn=1")) - int(label())) % 5 == 1


@pytest.mark.parametrize("name", ["predict", "evaluate", "stream", "bench", "selftest", "install", "explain"])
def test_each_command_refuses_an_option_that_the_backend_does_not_have_or_cannot_take(
    run: Run, name: str
) -> None:
    words = (name, "tiny.evb", *WORDS[name], "--backend", "kit", "--backend-option")
    unknown = run(*words, "nosuch=1")
    assert (unknown.code, unknown.err) == (
        2,
        "edgevision: backend 'kit' has no option 'nosuch'; it has: turn, strange\n",
    )
    wrong = run(*words, "turn=abc")
    assert wrong.code == 2, wrong.err
    assert wrong.err.endswith("option 'turn': expected a whole number, got 'abc'\n")


WORDS = {
    "predict": ("images/a/00.png",),
    "evaluate": ("images",),
    "stream": ("images",),
    "bench": ("--seconds", "0.05"),
    "selftest": (),
    "install": ("installed.evb",),
    "explain": ("images/a/00.png", "-o", "explained.png"),
}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("turn",), 2, "expected NAME=VALUE such as threads=2, got 'turn'"),
        (("=3",), 2, "expected NAME=VALUE such as threads=2, got '=3'"),
        (("turn=1", "turn=1"), 2, "'turn' is stated twice; pass it once"),
        (("turn=",), 2, "option 'turn': expected a whole number, got ''"),
        (
            ("strange=5",),
            6,
            "plugin 'kit' (kit-plugin 1.0): backend 'kit': open of model.tflite: raised TypeErr",
        ),
    ],
    ids=["no value", "no name", "twice", "empty value", "the plugin raises"],
)
def test_a_backends_option_that_is_written_wrongly_is_one_line(
    run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    stated = [word for each in words for word in ("--backend-option", each)]
    done = run("predict", "tiny.evb", "images/a/00.png", "--backend", "kit", *stated)
    assert done.code == code, done.err
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_delegate_is_stated_once(run: Run) -> None:
    stated = ("--delegate", "one.so", "--backend-option", "delegate=other.so")
    done = run("predict", "tiny.evb", "images/a/00.png", *stated)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--delegate states it, too" in done.err


KIT_CONVERTER = ("--converter", "kit-tflite")


def _converted(folder: Path) -> str:
    """The name of the artifact's file, which says which converter made it and with which option."""
    (entry,) = read_bundle(folder / "made.evb").manifest.artifacts
    return Path(entry.files[0].path).name


def test_a_converters_options_reach_it_from_the_command_line_and_from_targets_files(
    convert: Run, folder: Path
) -> None:
    done = convert("", *KIT_CONVERTER, "--converter-option", "level=3", isolated=True)
    assert done.code == 0, done.err
    assert _converted(folder) == "level3.tflite"
    recorded = read_bundle(folder / "made.evb").manifest.provenance
    assert recorded is not None
    assert recorded.settings["converter_options"] == {"level": 3}
    done = convert("converter_options = {{level = {number}}}", *KIT_CONVERTER, targets=1)
    assert (done.code, _converted(folder)) == (0, "level0.tflite")
    # Two targets share the artifact: it has what was stated for it, and not the last one's.
    shared = "converter_options = {{level = {number}}}"
    done = convert(shared, *KIT_CONVERTER, "--converter-option", "level=7", targets=2)
    assert (done.code, _converted(folder)) == (0, "level7.tflite")
    done = convert(shared, *KIT_CONVERTER, targets=2)
    assert (done.code, _converted(folder)) == (2, "level7.tflite")
    assert (
        "the targets 'camera0' and 'camera1' share it, and differ in the converter option 'level'" in done.err
    )


def test_the_backends_options_of_a_target_are_those_that_its_artifact_is_measured_with(convert: Run) -> None:
    done = convert("backend_options = {{turn = 1}}", *KIT_CONVERTER, isolated=True)
    assert done.code == 11
    assert "agreement with the source is 0.00 %" in done.err


@pytest.mark.parametrize(
    ("options", "words", "code", "said"),
    [
        ("", (), 2, "kit-tflite and plain-tflite convert .*pass --converter kit-tflite or plain-tflite"),
        ("", ("--converter", "nosuch"), 6, "no converter 'nosuch'; available: .*kit-tflite"),
        (
            "",
            (*KIT_CONVERTER, "--converter", "keras-onnx"),
            2,
            "keras-onnx: it converts from keras to onnx, and this conversion is from tiny to tflite; remove",
        ),
        (
            "",
            (*KIT_CONVERTER, "--converter-option", "nosuch=1"),
            2,
            "has no option 'nosuch'; it has: level, str",
        ),
        (
            "",
            (*KIT_CONVERTER, "--converter-option", "level=x"),
            2,
            "option 'level': expected a number, got 'x'",
        ),
        ("", (*KIT_CONVERTER, "--converter-option", "level=1", "--converter-option", "level=2"), 2, "twice"),
        ("", (*KIT_CONVERTER, "--converter-option", "level"), 2, "expected NAME=VALUE"),
        (
            "",
            (*KIT_CONVERTER, "--converter-option", "strange=5"),
            6,
            r"plugin 'kit' \(kit-plugin 1.0\): converter 'kit-tflite': with_options: raised TypeError",
        ),
        (
            "",
            ("--converter", "plain-tflite", "--converter-option", "level=3"),
            2,
            "has no option 'level'; .*none",
        ),
        (
            "converter_options = {{nosuch = 1}}",
            KIT_CONVERTER,
            2,
            "has no option 'nosuch'; it has: level, strange",
        ),
        (
            "converter_options = {{level = 'x'}}",
            KIT_CONVERTER,
            2,
            "option 'level': expected a number, got 'x'",
        ),
        (
            "converter_options = {{level = 2026-01-01}}",
            KIT_CONVERTER,
            2,
            "'level': expected a value that JSON has",
        ),
        ("converter_options = {{level = nan}}", KIT_CONVERTER, 2, "'level': expected a value that JSON has"),
        ("converter_options = [1]", KIT_CONVERTER, 2, r"'converter_options': expected a table, got \[1\]"),
        (
            "backend_options = {{nosuch = 1}}",
            KIT_CONVERTER,
            2,
            "targets.toml: target 'camera0': backend 'kit' has no option 'nosuch'",
        ),
        (
            "backend_options = {{turn = 'x'}}",
            KIT_CONVERTER,
            2,
            "option 'turn': expected a whole number, got 'x'",
        ),
        ("backend_options = 4", KIT_CONVERTER, 2, "'backend_options': expected a table, got 4"),
    ],
)
def test_what_a_conversion_cannot_take_is_named_and_writes_nothing(
    convert: Run, folder: Path, options: str, words: tuple[str, ...], code: int, said: str
) -> None:
    done = convert(options, *words, "-o", "refused.evb")
    assert done.code == code, done.err
    assert re.search(said, done.err.splitlines()[-1]), done.err
    assert not (folder / "refused.evb").exists()


@pytest.mark.parametrize(
    ("model", "words", "code", "said"),
    [
        ("both.tiny", (), 2, "tiny and second read it; pass --reader tiny or second"),
        ("both.tiny", ("--reader", "second"), 0, "writing the bundle"),
        (
            "model.tiny",
            ("--reader", "nosuch"),
            6,
            "no reader 'nosuch'; available: broken, keras, second, tiny",
        ),
        ("model.tiny", ("--reader", "keras"), 4, "model.tiny: is empty"),
        (
            "model.tiny",
            ("--reader", "broken"),
            6,
            "reader 'broken': read of model.tiny: raised KeyError: 'no such",
        ),
        (
            "model.tiny",
            ("--reader", "tiny", "--import", "package"),
            2,
            "the reader 'tiny' has no such option",
        ),
    ],
)
def test_the_reader_is_the_one_that_was_chosen(
    convert: Run, model: str, words: tuple[str, ...], code: int, said: str
) -> None:
    done = convert("", *KIT_CONVERTER, *words, model=model)
    assert done.code == code, done.err
    assert said in done.err.splitlines()[-1]
