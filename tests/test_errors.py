"""The errors are the ones that the tree at the top of `edgevision.errors` draws, with its exit codes."""

from __future__ import annotations

import inspect
import re

import pytest

from edgevision import errors
from edgevision.errors import EdgeVisionError, MissingRuntimeError, first_line


def test_the_drawn_tree_has_every_error_its_parent_and_its_exit_code() -> None:
    drawn = {}
    parents = {0: "Exception"}
    for indent, name, code in re.findall(r"^    ([ │├└─]*)(\w+Error) +(\d+) ", errors.__doc__ or "", re.M):
        depth = len(indent) // 4 + 1
        parents[depth] = name
        drawn[name] = (parents[depth - 1], int(code))
    classes = [thing for _, thing in inspect.getmembers(errors, inspect.isclass)]
    assert drawn == {kind.__name__: (kind.__bases__[0].__name__, kind.exit_code) for kind in classes}


def test_wrong_arguments_and_inputs_are_value_errors_too() -> None:
    """Callers that do not know EdgeVision catch them as they catch numpy's."""
    assert issubclass(errors.OptionError, ValueError)
    assert issubclass(errors.InputError, ValueError)


def test_a_missing_runtime_names_the_command_that_installs_it() -> None:
    error = MissingRuntimeError("openvino", "openvino is not installed")
    assert isinstance(error, EdgeVisionError)
    assert error.extra == "openvino"
    assert str(error) == 'openvino is not installed; run: pip install "edgevision[openvino]"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no such operator", "no such operator"),
        ("Exception from src/core.cpp:41:\nCheck 'x' failed at y.cpp:7:\nshape mismatch\n", "shape mismatch"),
        ("it failed:\n  because of this", "because of this"),
        (
            "Exception encountered when calling Dense.call().\n\n\x1b[1mbad axis\x1b[0m\n\nArguments",
            "bad axis",
        ),
        ("only this:", "only this:"),
        ("", "RuntimeError"),
    ],
)
def test_the_first_line_of_a_foreign_error_is_the_one_that_says_why(text: str, line: str) -> None:
    assert first_line(RuntimeError(text)) == line


def test_a_message_can_be_printed_and_is_short_whatever_a_name_holds() -> None:
    assert str(errors.InputError("a\ud800b.png: ä")) == "a\\ud800b.png: ä"
    assert len(str(errors.InputError("x" * 1_000_000))) == 10_000
    assert str(errors.MissingOptionError("m\udcff", "pass --labels")) == "m\\udcff: pass --labels"
