"""How a batch runs, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.batching.results import PART_ROWS
from edgevision.batching.table_forms import FORMATS
from edgevision.batching.tables_of_images import TableColumns
from edgevision.imaging.find import LeftOut
from edgevision.journal.values import json_values
from edgevision.system.arguments import flag, mapping, one_of, optional_text, text, whole_number

if TYPE_CHECKING:
    from edgevision.evaluation.compare import BundleComparison
    from edgevision.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class BatchSettings:
    """How `edgevision.batch` runs.

    Attributes:
        engine: name of the executor: ``local``, this process; or that of a plugin, such as ``ray``.
        format: of the table of results, ``parquet`` (extra ``parquet``) or ``jsonl``.
        workers: how many work at a time; `None` is one per core, of this machine or of the cluster.
        top: number of classes of a result, for a classifier; `None` is all, up to 100.
        call: arguments of each call, such as ``{"score_threshold": 0.4}``.
        input_gate: False to answer also what is beyond the limits that ``edgevision gate`` set.
        image_column: of Parquet files: with the bytes of the images; `None` is the only one that holds bytes.
        name_column: of Parquet files: with the names of the images; `None` numbers them.
        label_column: of Parquet files: with the class of each image, for an evaluation; `None` if they have
            none.
        part_rows: rows of a file of the table, at most. A part is also closed when its first row is 30 s old.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    engine: str = "local"
    format: str = "parquet"
    workers: int | None = None
    top: int | None = None
    call: Mapping[str, Any] = field(default_factory=dict)
    input_gate: bool = True
    image_column: str | None = None
    name_column: str | None = None
    label_column: str | None = None
    part_rows: int = PART_ROWS

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "engine": text(self.engine, "engine"),
            "format": one_of(self.format, FORMATS, "format"),
            "call": json_values(mapping(self.call, "call"), "call"),
            "input_gate": flag(self.input_gate, "input_gate"),
            "part_rows": whole_number(self.part_rows, "part_rows", least=1),
        }
        for name in ("workers", "top"):
            value = getattr(self, name)
            checked[name] = None if value is None else whole_number(value, name, least=1)
        for name in ("image_column", "name_column", "label_column"):
            checked[name] = optional_text(getattr(self, name), name)
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def columns_of(settings: BatchSettings) -> TableColumns:
    """The columns of Parquet files that settings name."""
    return TableColumns(settings.image_column, settings.name_column, settings.label_column)


@dataclass(frozen=True, eq=False)
class BatchRun:
    """The outcome of a batch.

    Attributes:
        output: the folder.
        bundle_digest: of the bundle.
        images: number of images of the sources, each counted once.
        ok, failed, abstained: rows of the whole table with this status, also of images of earlier runs.
        reused: images of the sources about which a row was there already; they were not worked on again.
        left_out: files of the sources that are not images, with the reasons.
        evaluation: with ground truth, the metrics; then there is no table, and the counts are those of images
            that were measured, and that could not be used.
        comparison: the same of a comparison with another bundle.
    """

    output: Path
    bundle_digest: str
    images: int
    ok: int
    failed: int
    abstained: int
    reused: int
    left_out: tuple[LeftOut, ...] = field(default=(), repr=False)
    evaluation: Evaluation | None = field(default=None, repr=False)
    comparison: BundleComparison | None = field(default=None, repr=False)
