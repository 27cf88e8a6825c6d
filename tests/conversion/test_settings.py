"""Settings and arguments of a conversion: paths as text, sequences of any kind, numbers of numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import OptionError
from edgevision.evidence.requirements import Budget
from edgevision.tasks.options import TaskOptions


@pytest.mark.parametrize("files", [["a.toml"], ("a.toml",), (Path("a.toml"),), np.array(["a.toml"])])
def test_targets_files_are_any_sequence_of_paths(files: Any) -> None:
    assert ConversionSettings(targets_files=files).targets_files == (Path("a.toml"),)


@pytest.mark.parametrize("files", ["a.toml", Path("a.toml")])
def test_a_single_targets_file_is_refused(files: Any) -> None:
    with pytest.raises(OptionError, match=r"targets_files: expected a sequence .* pass \['a.toml'\]"):
        ConversionSettings(targets_files=files)


def test_numbers_of_numpy_are_numbers() -> None:
    settings = ConversionSettings(
        budget=Budget(np.float32(2), np.float64(0.5)),
        calibration_samples=np.int64(40),
        evaluation_samples=np.uint8(30),
    )
    assert (settings.calibration_samples, settings.evaluation_samples) == (40, 30)
    assert (settings.budget.max_drop, settings.budget.min_agreement) == (2.0, 0.5)
    values = (
        settings.calibration_samples,
        settings.evaluation_samples,
        settings.budget.max_drop,
        settings.budget.min_agreement,
    )
    assert [type(value) for value in values] == [int, int, float, float]


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True])
@pytest.mark.parametrize("name", ["calibration_samples", "evaluation_samples"])
def test_other_numbers_of_samples_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name}: expected"):
        ConversionSettings(**{name: value})


def test_task_options_take_text_and_numpy() -> None:
    options = TaskOptions(
        labels="labels.txt",
        annotations="objects.json",
        truth="expected",
        thresholds={"score_threshold": np.float32(0.5), "max_detections": np.int64(7)},
        decoder_settings={"strides": np.array([8, 16])},
        output_range=np.array([0.0, 1.0]),
        overlap=np.int32(4),
    )
    assert (options.labels, options.annotations, options.truth) == (
        Path("labels.txt"),
        Path("objects.json"),
        Path("expected"),
    )
    assert options.output_range == (0.0, 1.0)
    assert (options.overlap, type(options.overlap)) == (4, int)
    assert json.loads(json.dumps([options.thresholds, options.decoder_settings])) == [
        {"score_threshold": 0.5, "max_detections": 7},
        {"strides": [8, 16]},
    ]


@pytest.mark.parametrize("output_range", [0.5, "low", (0.0,), (0, 1, 2)])
def test_an_output_range_that_is_not_two_numbers_is_refused(output_range: Any) -> None:
    with pytest.raises(OptionError, match="output_range: expected two numbers"):
        TaskOptions(output_range=output_range)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": "generic-cpu"}, r"targets: .* got 'generic-cpu'; pass \['generic-cpu'\]"),
        (
            {"targets": ["generic-cpu"], "precisions": "int8"},
            r"precisions: .* got 'int8'; pass \['int8'\]",
        ),
        ({"targets": [Path("generic-cpu")]}, "targets: expected a sequence of names"),
    ],
)
def test_one_name_is_not_a_sequence_of_names(tmp_path: Path, arguments: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        convert("model.keras", tmp_path / "model.evb", evaluation=tmp_path, **arguments)


@pytest.mark.parametrize("images", [[np.zeros((4, 4, 3), np.uint8)], 5])
def test_what_is_not_a_set_of_images_is_refused(tmp_path: Path, images: Any) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    with pytest.raises(OptionError, match=r"expected a folder of images.* ImageSet\.from_arrays"):
        convert(
            tmp_path / "model.keras",
            tmp_path / "model.evb",
            targets=["generic-cpu"],
            precisions=["float32"],
            evaluation=images,
        )


@pytest.mark.parametrize(
    "name",
    [
        *("strict", "force_input", "trust_source", "pictures", "force"),
        *("keep_passing", "accept_not_shown", "calibrate_scores"),
    ],
)
def test_a_text_does_not_turn_a_setting_on(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}: expected True or False, got 'no'"):
        ConversionSettings(**{name: "no"})
    assert getattr(ConversionSettings(**{name: np.True_}), name) is True
