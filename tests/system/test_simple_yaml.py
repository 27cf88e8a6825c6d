"""The part of YAML that is read agrees with PyYAML, but that scalars stay text."""

from __future__ import annotations

from typing import Any

import pytest

from edgevision.system.simple_yaml import read_yaml

DOCUMENTS = [
    "",
    "names:\n  0: cat\n  1: dog # c\n",
    "names: [a, 'b, c', \"d\"]\n",
    "names: {0: a, 1: 'b: c', 2: 'it''s'}\nnc: 2\n",
    "names:\n- a\n- b b\nx: y\n",
    "names:\n  - a\n  - 'b # c'\n",
    "names: [\n  a,\n  b]\nk: v\n",
    "- id: 1\n  name: a\n- id: 2\n  name: b\n",
    "---\na: http://a/b:c\nb:\n  c:\n    d: e\n",
    "description: a model trained on\n  coco.yaml\nimgsz:\n- 640\n- 640\nargs:\n  batch: 1\n",
    "author: 'x: y'\nnames: {}\nlist: []\n",
]


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_text(part) for key, part in value.items()}
    return [_as_text(part) for part in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_are_read_as_pyyaml_reads_them(document: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert read_yaml(document) == _as_text(yaml.safe_load(document) or {})


def test_words_that_yaml_takes_for_values_stay_text() -> None:
    assert read_yaml("names: [no, on, null, 1e3, 0x10]\n") == {"names": ["no", "on", "null", "1e3", "0x10"]}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("a: &b c\n", "line 1 begins with '&'"),
        ("a: !!int 3\n", "line 1 begins with '!'"),
        ("a: |\n  b\n", "line 1 begins with '|'"),
        ("a:\n\tb: c\n", "line 2 is indented by a tab"),
        ("a: b\n---\nc: d\n", "line 2 begins another document"),
        ("a: b\na: c\n", "line 2 has the key 'a' for the second time"),
        ("a: [b, c\n", "line 1 lacks a closing bracket"),
        ("a: [b] c\n", "line 1 goes on after its last bracket"),
        ("a: b\nc\n", "line 2 is no 'key: value'"),
        ("  a: b\nc: d\n", "line 2 is not indented as the lines above"),
        ("a: " + "[" * 50 + "]" * 50, "is nested too deeply"),
    ],
)
def test_other_documents_are_refused_with_the_line(document: str, reason: str) -> None:
    with pytest.raises(ValueError, match="line") as refusal:
        read_yaml(document)
    assert reason in str(refusal.value)
