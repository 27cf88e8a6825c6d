"""MediaPipe Tasks and OpenVINO Model API on a file and images; run in an environment that has them.

    python other_programs.py KIND FILE IMAGE…

KIND is one of the keys of `RUN`. Prints JSON: for each image a list of [label, score] or of
[label, score, [left, top, right, bottom]].
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def mediapipe_classifier(path: str, images: list[str]) -> list[Any]:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path))
    with vision.ImageClassifier.create_from_options(options) as task:
        results = [task.classify(mediapipe.Image.create_from_file(image)) for image in images]
    return [
        [[one.category_name, one.score] for one in each.classifications[0].categories] for each in results
    ]


def mediapipe_detector(path: str, images: list[str]) -> list[Any]:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    base = BaseOptions(model_asset_path=path)
    options = vision.ObjectDetectorOptions(base_options=base, score_threshold=0.4, max_results=100)
    found = []
    with vision.ObjectDetector.create_from_options(options) as task:
        for image in images:
            rows = []
            for one in task.detect(mediapipe.Image.create_from_file(image)).detections:
                box = one.bounding_box
                corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
                rows.append([one.categories[0].category_name, one.categories[0].score, corners])
            found.append(rows)
    return found


def model_api_classifier(path: str, images: list[str]) -> list[Any]:
    import cv2
    from model_api.models import Model

    model = Model.create_model(path, configuration={"topk": 3})
    results = [model(cv2.imread(image)) for image in images]
    return [[[one.name, float(one.confidence)] for one in each.top_labels] for each in results]


def model_api_detector(path: str, images: list[str]) -> list[Any]:
    import cv2
    from model_api.models import Model

    model, found = Model.create_model(path), []
    for image in images:
        each = model(cv2.imread(image))
        rows = zip(each.label_names, each.scores.tolist(), each.bboxes.tolist(), strict=True)
        found.append([[label, score, box] for label, score, box in rows if score >= 0.4])
    return found


RUN: dict[str, Callable[[str, list[str]], list[Any]]] = {
    "mediapipe-classifier": mediapipe_classifier,
    "mediapipe-detector": mediapipe_detector,
    "model-api-classifier": model_api_classifier,
    "model-api-detector": model_api_detector,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(RUN[sys.argv[1]](sys.argv[2], sys.argv[3:])) + "\n")
