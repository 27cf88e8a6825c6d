"""The baseline of `serve.py`: Starlette and uvicorn around LiteRT, as written in an hour, without any check.

python benchmarks/serve_bare.py MODEL.tflite PORT SLOTS
"""

from __future__ import annotations

import json
import queue
import sys
from typing import Any

import numpy as np
import uvicorn
from ai_edge_litert.interpreter import Interpreter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def application(model: str, slots: int) -> Starlette:
    """The addresses."""
    free: queue.Queue[Any] = queue.Queue()
    for _ in range(slots):
        interpreter = Interpreter(model_path=model, num_threads=1)
        interpreter.allocate_tensors()
        free.put(interpreter)

    def run(body: bytes, length: int | None) -> tuple[bytes, dict[str, str]]:
        asked = json.loads(body[:length])
        (entry,) = asked["inputs"]
        interpreter = free.get()
        try:
            details = interpreter.get_input_details()[0]
            values = np.frombuffer(body[length:], details["dtype"]) if length else np.array(entry["data"])
            interpreter.set_tensor(details["index"], values.astype(details["dtype"]).reshape(entry["shape"]))
            interpreter.invoke()
            found = [
                (one["name"], interpreter.get_tensor(one["index"]))
                for one in interpreter.get_output_details()
            ]
        finally:
            free.put(interpreter)
        listed, blocks = [], []
        for name, values in found:
            head: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": "UINT8"}
            if length:
                blocks.append(values.tobytes())
                head["parameters"] = {"binary_data_size": len(blocks[-1])}
            else:
                head["data"] = values.ravel().tolist()
            listed.append(head)
        document = json.dumps({"model_name": "model", "outputs": listed}).encode()
        headers = {"Inference-Header-Content-Length": str(len(document))} if length else {}
        return document + b"".join(blocks), headers

    async def infer(request: Request) -> Response:
        length = request.headers.get("inference-header-content-length")
        body, headers = await run_in_threadpool(run, await request.body(), int(length) if length else None)
        return Response(body, headers=headers, media_type="application/octet-stream")

    return Starlette(routes=[Route("/v2/models/model/infer", infer, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1], int(sys.argv[3])), port=int(sys.argv[2]), log_level="critical", http="h11"
    )
