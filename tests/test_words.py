"""The field's standard words, one noun for one idea, in code, docs, errors, help and reports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = [
    file
    for folder in ("edgevision", "plugins", "converters", "examples", "benchmarks")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
TEXTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    *sorted((ROOT / "edgevision").rglob("*.json")),
    *sorted((ROOT / "edgevision").rglob("*.toml")),
    *sorted((ROOT / "edgevision" / "reporting" / "templates").iterdir()),
]
#: What is not written -> what is.
INSTEAD = {
    r"\blanes?\b|Lanes?\b": "slot, slot pool",
    r"\bproofs?\b(?!/)": "evaluator, evidence",
    r"\bdemand(s|ed|ing)?\b": "requirement, required, specification",
    r"\bheld against\b|\bhold \w+ against\b": "compared with",
    r"\btold of\b|\btelling pictures?\b|\bmost telling\b": "called after each step; representative examples",
    r"\bhundredths\b|(?<!percentage )\bpoints \(": "percentage points",
    r"\bdear(er|est)\b": "more expensive, most expensive",
    r"\bthinn?(ed|ing)\b": "NMS applied, suppress",
    r"(?<!ground )\bthe truth\b": "ground truth, labels",
    r"\ba (folder|file|class|label|threshold|temperature) an? (class|line|image|artifact)\b": "one … per …",
    r"\bone a (class|line|layer|label|channel)\b|\bone an (image|artifact|example)\b": "one per …",
    r"\bnothing (in it )?tells\b|\bnothing (in it )?says\b": "cannot infer … from the model",
    r"\bis no (JSON|TFLite|image|model|bundle|evidence|file|folder|directory|number)\b": "is not a valid …",
    r"\bis none of (the|these|those)\b|\bare none of\b": "is not in …",
    r"\ba bug\b": "internal error",
    r"\bevened out\b": "equalized",
    r"\bby turns\b": "interleaved",
}


def test_every_merge_is_finished() -> None:
    mark = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)
    assert not [file for file in (*CODE, *TEXTS) if mark.search(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("word", "instead"), INSTEAD.items(), ids=INSTEAD.values())
def test_the_fields_word_is_used(word: str, instead: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in (*CODE, *TEXTS)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(word, line)
    ]
    assert not found, f"write: {instead}\n" + "\n".join(found)


def test_a_docstring_begins_with_what_the_caller_gets() -> None:
    documented = ast.Module, ast.ClassDef, ast.FunctionDef
    found = []
    for file in CODE:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if text and re.match(r"(What|Whether|Told|Those|It|As it)\b", text):
                found.append(f"{file.relative_to(ROOT)}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)
