"""One message asks for everything that a model does not say."""

from __future__ import annotations

import pytest

from edgevision.errors import MissingOptionError, OptionError
from edgevision.system.missing_options import MissingOptions


def test_one_question_is_asked_as_it_is_and_several_are_numbered() -> None:
    assert (
        str(MissingOptionError("m.onnx", "no range; pass --input-range"))
        == "m.onnx: no range; pass --input-range"
    )
    two = MissingOptionError("m.onnx", "no range", "no unit")
    assert str(two) == "m.onnx: 2 options are missing: (1) no range; (2) no unit"
    assert two.exit_code == 2


def test_questions_of_several_steps_are_collected_once_each() -> None:
    missing = MissingOptions("m.onnx")
    missing.check()
    for questions in (("a",), ("a", "b")):
        with missing.collected():
            raise MissingOptionError("elsewhere", *questions)
    assert missing
    with pytest.raises(MissingOptionError) as raised:
        missing.check()
    assert raised.value.questions == ("a", "b")


def test_every_other_error_passes() -> None:
    missing = MissingOptions("m.onnx")
    with pytest.raises(OptionError, match="wrong"), missing.collected():
        raise OptionError("wrong")
    assert not missing
