"""JSON has one reading, or is refused."""

from __future__ import annotations

import json

import pytest

from edgevision.system.strict_json import JsonError, read_json

REFUSED = [
    ('{"a": 1, "a": 1}', "the key 'a' is there twice"),
    ('[{"b": {"a": 1, "\\u0061": 2}}]', "the key 'a' is there twice"),
    ("NaN", "NaN is not valid in JSON"),
    ('{"a": [-Infinity]}', "-Infinity is not valid"),
    ("1e400", "too large"),
    ("[-1e9999]", "too large"),
    ("1" + "0" * 400 + ".0", "too large"),
    ("1" * 21, "21 digits"),
    ("-" + "1" * 5000, "5000 digits"),
    ("[" * 101 + "]" * 101, "more than 100 levels"),
    ('{"a":' * 5000 + "1" + "}" * 5000, "more than 100 levels"),
    ("[" * 100_000, "levels|Expecting"),
    ('"\\ud800"', "surrogates not allowed"),
    ('{"\\udfff": 1}', "surrogates not allowed"),
    ('["a\\u0000b"]', "NUL"),
    (b'"\xff"', "can't decode"),
    (b"\xef\xbb\xbf1", "BOM"),
    ('"a\nb"', "control character"),
    ("", "Expecting value"),
    ("{} {}", "Extra data"),
    ("'a'", "Expecting value"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_a_document_with_another_reading_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(JsonError, match=reason):
        read_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, -2.5e-3, true, null, "\\ud83d\\ude00 \\\\u0000"], "": {}}',
        "[" * 100 + "]" * 100,
        "18446744073709551615",
        f'"{"7" * 64}"',  # digits in a text are no number
        "1e-400",
        '"\\\\ud800"',
    ],
)
def test_a_document_with_one_reading_is_what_json_reads(text: str) -> None:
    assert read_json(text) == read_json(text.encode()) == json.loads(text)


def test_what_python_writes_for_infinity_is_read_where_it_is_asked_for() -> None:
    assert read_json("[Infinity]", finite=False) == [float("inf")]
