"""Evaluate a trained detector on the validation photos: COCO's metrics, and a picture.

python evaluate.py blood_cells.keras --data bccd.zip --picture detections.png
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from dataset import CLASS_NAMES, Sample, read_samples
from decode import Detections, decode
from numpy.typing import NDArray

Network = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]

_COLORS_BGR = ((40, 40, 220), (200, 80, 0), (0, 140, 0))


@click.command(context_settings={"show_default": True})
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="BCCD as one zip.")
@click.option("--split", type=click.Choice(["train", "val"]), default="val")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most this many photos.")
@click.option(
    "--picture", type=click.Path(path_type=Path), help="PNG file for the detections in a few photos."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="JSON file for the metrics.")
def main(
    model: Path, data: Path, split: str, limit: int | None, picture: Path | None, json_path: Path | None
) -> None:
    """Evaluate a trained network (.keras, or .tflite with float inputs and outputs)."""
    network, input_wh = open_network(model)
    samples = read_samples(data, split, limit)
    detections = [detect(network, sample.image, input_wh) for sample in samples]
    metrics = average_precision(samples, detections)
    for name, value in metrics.items():
        click.echo(f"{name:22} {value:.4f}")
    if json_path:
        json_path.write_text(json.dumps(metrics, indent=2) + "\n")
    if picture:
        draw(samples[:6], detections[:6], picture)


def open_network(path: Path) -> tuple[Network, tuple[int, int]]:
    """A function from (1, h, w, 3) float32 RGB of 0…255 to named outputs, and (w, h) of its input."""
    if path.suffix == ".tflite":
        return _open_tflite(path)
    import keras

    model = keras.models.load_model(path, compile=False)
    height, width = model.input_shape[1:3]
    return lambda x: {name: np.asarray(value) for name, value in model(x).items()}, (width, height)


def _open_tflite(path: Path) -> tuple[Network, tuple[int, int]]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=path.read_bytes()).get_signature_runner()
    ((input_name, details),) = runner.get_input_details().items()
    height, width = details["shape"][1:3]
    return lambda x: runner(**{input_name: x}), (int(width), int(height))


def detect(network: Network, image: NDArray[np.uint8], input_wh: tuple[int, int]) -> Detections:
    """Boxes (n, 4) in pixels of `image`, scores (n,) and class ids (n,) of the detected cells."""
    resized = cv2.resize(image, input_wh, interpolation=cv2.INTER_LINEAR)
    outputs = network(resized[None].astype(np.float32))
    boxes, scores, class_ids = decode({name: value[0] for name, value in outputs.items()}, input_wh)
    scale = np.array(image.shape[1::-1], np.float32) / np.array(input_wh, np.float32)
    return boxes * np.tile(scale, 2), scores, class_ids


def average_precision(samples: Sequence[Sample], detections: Sequence[Detections]) -> dict[str, float]:
    """COCO's metrics from pycocotools: mAP, AP@0.50 of each class, and recall of at most 100 boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = _coco_ground_truth(samples)
        ground_truth.createIndex()
        evaluation = COCOeval(ground_truth, ground_truth.loadRes(_coco_results(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # (IoU threshold, recall level, class, size range, maximum number of boxes); 0.50 is the first threshold.
    precision = evaluation.eval["precision"][..., 0, -1]
    recall = evaluation.eval["recall"][..., 0, -1]
    metrics = {
        "mAP@0.50": precision[0].mean(),
        "mAP@0.50:0.95": precision.mean(),
        "recall@0.50": recall[0].mean(),
    }
    for class_id, name in enumerate(CLASS_NAMES):
        metrics[f"AP@0.50 {name}"] = precision[0, :, class_id].mean()
    return {name: float(value) for name, value in metrics.items()}


def _coco_ground_truth(samples: Sequence[Sample]) -> dict[str, object]:
    boxes = [
        (image_id, box, class_id)
        for image_id, sample in enumerate(samples, 1)
        for box, class_id in zip(_xywh(sample.boxes_xyxy), sample.class_ids.tolist(), strict=True)
    ]
    annotations = [
        {
            "id": number,
            "image_id": image_id,
            "bbox": box,
            "category_id": class_id,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for number, (image_id, box, class_id) in enumerate(boxes, 1)
    ]
    return {
        "info": {},
        "images": [{"id": image_id} for image_id in range(1, len(samples) + 1)],
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(CLASS_NAMES)],
        "annotations": annotations,
    }


def _coco_results(detections: Sequence[Detections]) -> list[dict[str, object]]:
    return [
        {"image_id": image_id, "bbox": box, "score": score, "category_id": class_id}
        for image_id, (boxes, scores, class_ids) in enumerate(detections, 1)
        for box, score, class_id in zip(_xywh(boxes), scores.tolist(), class_ids.tolist(), strict=True)
    ]


def _xywh(boxes_xyxy: NDArray[np.float32]) -> list[list[float]]:
    xywh = np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)
    return [[float(value) for value in box] for box in xywh]


def draw(
    samples: Sequence[Sample], detections: Sequence[Detections], path: Path, min_score: float = 0.3
) -> None:
    """Draw labelled cells thin and grey and detected ones in colour, three photos per row, into a PNG."""
    pictures = [_drawn(sample, *each, min_score) for sample, each in zip(samples, detections, strict=True)]
    blank = np.zeros_like(pictures[0])
    pictures += [blank] * (-len(pictures) % 3)
    rows = [np.hstack(pictures[start : start + 3]) for start in range(0, len(pictures), 3)]
    cv2.imwrite(str(path), np.vstack(rows))


def _drawn(
    sample: Sample,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    min_score: float,
) -> NDArray[np.uint8]:
    picture = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR).astype(np.uint8)
    for left, top, right, bottom in sample.boxes_xyxy.astype(int).tolist():
        cv2.rectangle(picture, (left, top), (right, bottom), (90, 90, 90), 1)
    shown = scores >= min_score
    for box, score, class_id in zip(
        boxes[shown].astype(int).tolist(), scores[shown], class_ids[shown], strict=True
    ):
        left, top, right, bottom = box
        color = _COLORS_BGR[class_id]
        cv2.rectangle(picture, (left, top), (right, bottom), color, 2)
        text = f"{CLASS_NAMES[class_id]} {score:.2f}"
        cv2.putText(
            picture, text, (left + 2, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA
        )
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
