"""Label files in every form in which tools write them; what can be read in two ways is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgevision import BareModel
from edgevision.errors import OptionError
from edgevision.tasks.label_files import read_labels, stated_labels
from edgevision.tasks.labels import check_label_count

ULTRALYTICS = """# Ultralytics
path: ../datasets/pets
train: images/train  # train images
nc: 3

names:
  0: cat
  1: 'guinea pig'
  2: "no"   # a class called no
download: https://example.org/pets.zip
"""
LABEL_MAP = """
# TensorFlow Object Detection API
item {
  name: "/m/01yrx"
  id: 1
  display_name: "cat"
  keypoints { id: 5 label: "nose" }
}
item { id: 3, name: 'guinea pig' }
"""
READ: dict[str, tuple[str, str | bytes, tuple[str, ...]]] = {
    "one per line": ("l.txt", "cat\ndog\n", ("cat", "dog")),
    "trailing blank lines": ("l.txt", "cat\ndog\n \n\n", ("cat", "dog")),
    "umlauts, spaces around": ("l.names", "Ente\n großer Vogel \n", ("Ente", "großer Vogel")),
    "carriage returns alone": ("l.txt", "cat\rdog\r", ("cat", "dog")),
    "BOM and CRLF": ("l.txt", b"\xef\xbb\xbfcat\r\ndog\r\n", ("cat", "dog")),
    "UTF-16 little endian": ("l.txt", b"\xff\xfe" + "cat\r\nköter".encode("utf-16-le"), ("cat", "köter")),
    "UTF-16 big endian": ("l.txt", b"\xfe\xff" + "cat\ndog".encode("utf-16-be"), ("cat", "dog")),
    "UTF-32": ("l.txt", "cat\ndog".encode("utf-32"), ("cat", "dog")),
    "Teachable Machine": ("labels.txt", "0 cat\n1 guinea pig\n", ("cat", "guinea pig")),
    "Coral, with gaps": ("l.txt", "0  cat\n2  dog\n", ("cat", "class 1", "dog")),
    "ids with a space and gaps": ("l.txt", "0 cat\n1 dog\n3 bird\n", ("cat", "dog", "class 2", "bird")),
    "ids in another order": ("l.txt", "2: bird\n0: cat\n1: dog\n", ("cat", "dog", "bird")),
    "colons": ("l.txt", "0: cat\n1:dog\n", ("cat", "dog")),
    "commas": ("l.txt", "0,cat\n1,dog\n", ("cat", "dog")),
    "tabs": ("l.txt", "0\tcat\n1\tguinea pig\n", ("cat", "guinea pig")),
    "ids, comments and blank lines": ("l.txt", "# pets\n0: cat\n\n1: dog\n", ("cat", "dog")),
    "numbers that belong to names": ("l.txt", "7 up\ncola\n3d printer\n", ("7 up", "cola", "3d printer")),
    "coins": (
        "l.txt",
        "1 cent\n2 cent\n5 cent\n1 euro\n",
        ("1 cent", "2 cent", "5 cent", "1 euro"),
    ),
    "coins with distinct numbers": ("l.txt", "1 cent\n2 cent\n5 cent\n", ("1 cent", "2 cent", "5 cent")),
    "digits": ("l.txt", "0\n1\n2\n", ("0", "1", "2")),
    "hash tags": ("l.txt", "#cat\n#dog\n", ("#cat", "#dog")),
    "gaps written out": ("l.txt", "cat\n???\nN/A\ndog\n", ("cat", "class 1", "class 2", "dog")),
    "homonyms among many": (
        "l.txt",
        "\n".join([f"thing {n}" for n in range(198)] + ["crane", "crane"]),
        (*(f"thing {n}" for n in range(198)), "crane (class 198)", "crane (class 199)"),
    ),
    "homonyms with ids in another order": (
        "l.txt",
        "\n".join(["199 crane", *(f"{n} thing {n}" for n in range(198)), "198 crane"]),
        (*(f"thing {n}" for n in range(198)), "crane (class 198)", "crane (class 199)"),
    ),
    "CSV without header": ("l.csv", "0,cat\n1,dog\n", ("cat", "dog")),
    "CSV with header": ("l.csv", "id,name\n1,dog\n0,cat\n", ("cat", "dog")),
    "CSV with other columns": ("l.csv", "name,id,colour\ncat,0,red\ndog,1,blue\n", ("cat", "dog")),
    "CSV with quotes": ("l.csv", 'id,name\n0,"tench, Tinca tinca"\n1,dog\n', ("tench, Tinca tinca", "dog")),
    "CSV of one column": ("l.csv", "label\ncat\ndog\n", ("cat", "dog")),
    "CSV with semicolons": ("l.csv", "id;name\n0;cat\n1;dog\n", ("cat", "dog")),
    "TSV": ("l.tsv", "id\tname\n0\tcat\n1\tguinea pig\n", ("cat", "guinea pig")),
    "JSON list": ("l.json", '["cat", "dog"]', ("cat", "dog")),
    "JSON ids to names": ("l.json", '{"1": "dog", "0": "cat"}', ("cat", "dog")),
    "JSON with gaps": ("l.json", '{"0": "cat", "2": "dog"}', ("cat", "class 1", "dog")),
    "Keras class_indices": ("l.json", '{"dog": 1, "cat": 0}', ("cat", "dog")),
    "ImageNet": (
        "l.json",
        '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}',
        ("tench", "goldfish"),
    ),
    "Hugging Face": ("l.json", '{"label2id": {"cat": 0}, "id2label": {"0": "cat"}}', ("cat",)),
    "COCO categories": (
        "l.json",
        '{"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]}',
        ("cat", "dog"),
    ),
    "JSON with BOM": ("l.json", b'\xef\xbb\xbf["cat"]', ("cat",)),
    "JSON in a text file": ("l.txt", '["cat", "dog"]', ("cat", "dog")),
    "Python's dictionary": ("l.txt", "{0: 'cat', 1: 'dog'}", ("cat", "dog")),
    "Ultralytics' data.yaml": ("data.yaml", ULTRALYTICS, ("cat", "guinea pig", "no")),
    "YAML list": ("l.yaml", "names:\n- cat\n- dog\n", ("cat", "dog")),
    "YAML flow": ("l.yml", "nc: 2\nnames: ['cat', \"dog\"]\n", ("cat", "dog")),
    "YAML mapping": ("l.yaml", "0: cat\n1: dog\n", ("cat", "dog")),
    "label map, ids from 1": ("l.pbtxt", LABEL_MAP, ("cat", "class 1", "guinea pig")),
    "label map, ids from 0": (
        "l.pbtxt",
        "item { id: 0 name: 'cat' }\nitem { id: 1 name: 'dog' }",
        ("cat", "dog"),
    ),
}
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "nothing": ("l.txt", "", "no labels found"),
    "blank lines alone": ("l.txt", "\n\n", "no labels found"),
    "a blank line in the middle": ("l.txt", "cat\n\ndog\n", "line 2 is empty"),
    "a comment among names": ("l.txt", "# pets\ncat\ndog\n", "comment or a class"),
    "numbers that may be either": ("l.txt", "7 up\n3 musketeers\n", "may be ids or belong to the names"),
    "an id missing": ("l.txt", "0: cat\n1: dog\nbird\n", "'bird' has no id"),
    "an id twice": ("l.txt", "0: cat\n0: dog\n", "id 0 is there twice"),
    "a name twice": ("l.txt", "cat\ndog\ncat\n", "classes 0 and 2 are both called 'cat'"),
    "an id that is none": ("l.txt", "0: cat\n99999999: dog\n", "expected ids of classes"),
    "Latin-1": ("l.txt", "großer".encode("latin-1"), "save it as UTF-8"),
    "UTF-16 without BOM": ("l.txt", "cat\ndog".encode("utf-16-le"), "NUL"),
    "broken UTF-16": ("l.txt", b"\xff\xfe\x00", "is not utf-16"),
    "control characters": ("l.json", json.dumps(["cat\ndog"]), "no usable name"),
    "an empty name": ("l.json", '["cat", ""]', "class 1 has no usable name"),
    "a null": ("l.json", '["cat", null]', "expected the name of a class, got None"),
    "numbers to numbers": ("l.json", '{"0": 1, "1": 0}', "not clear which are the ids"),
    "a key twice": ("l.json", '{"0": "cat", "0": "dog"}', "the key '0' is there twice"),
    "JSON of something else": ("l.json", '{"path": "x"}', "expected ids and names of classes"),
    "broken JSON": ("l.json", '{"0": ', "expected JSON"),
    "deep JSON": ("l.json", "[" * 100_000, "expected JSON"),
    "YAML with a tag": ("l.yaml", "names: !!python/object:os.system x\n", "cannot be read as YAML: line 1"),
    "YAML with an anchor": ("l.yaml", "names: &a [cat]\n", "cannot be read as YAML: line 1"),
    "YAML with a key twice": ("l.yaml", "0: cat\n0: dog\n", "line 2 has the key '0' for the second time"),
    "CSV without a name column": ("l.csv", "0,a,b\n1,c,d\n", "call the right one 'name'"),
    "CSV with two id columns": ("l.csv", "0,5,cat\n1,6,dog\n", "call the one with the ids 'id'"),
    "ragged CSV": ("l.csv", "0,cat\n1,dog,x\n", "expected 3 columns"),
    "a label map without names": ("l.pbtxt", "item { id: 1 }", "expected an id and a name"),
    "a text without an end": (
        "l.pbtxt",
        "item { id: 1 name: 'ca\nt' }",
        "cannot be read as a list of labels",
    ),
    "a set of lists": ("l.txt", "{['cat'], ['dog']}", "expected JSON"),
    "a broken label map": ("l.pbtxt", "item { id: 1 name: 'cat' ", "expected 'name: value'"),
}


def _written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("case", READ)
def test_forms_that_are_read(case: str, tmp_path: Path) -> None:
    name, content, labels = READ[case]
    path = _written(tmp_path, name, content)
    assert read_labels(path) == labels
    assert stated_labels(str(path)) == BareModel(labels=path).labels == labels


@pytest.mark.parametrize("case", REFUSED)
def test_forms_that_are_refused(case: str, tmp_path: Path) -> None:
    name, content, reason = REFUSED[case]
    path = _written(tmp_path, name, content)
    with pytest.raises(OptionError) as refusal:
        read_labels(path)
    assert reason in str(refusal.value)
    assert name in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_folder_or_a_missing_file_is_no_list_of_labels(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.txt", Path("/dev/zero")):
        with pytest.raises(OptionError, match="cannot be read as a list of labels"):
            read_labels(path)


def test_labels_are_stated_as_a_list_an_array_or_a_mapping_too() -> None:
    for labels in (["cat", "dog"], np.array(["cat", "dog"]), {0: "cat", 1: "dog"}, {"dog": 1, "cat": 0}):
        assert stated_labels(labels) == ("cat", "dog")
    for wrong in ({"cat", "dog"}, [1, 2], 5, {"cat": "dog"}):
        with pytest.raises(OptionError, match="labels"):
            stated_labels(wrong)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [(4, "background that the network does not"), (2, "name it in the first line"), (7, "")],
)
def test_a_wrong_count_tells_both_and_the_usual_cause(labels: int, hint: str) -> None:
    with pytest.raises(OptionError, match=f"{labels} labels for a network with 3 classes.*{hint}"):
        check_label_count([str(n) for n in range(labels)], 3)
