"""MLServer around LiteRT, for `serve.py`; run by a Python that has mlserver and ai-edge-litert.

python benchmarks/serve_mlserver.py MODEL.tflite PORT SLOTS
"""

from __future__ import annotations

import asyncio
import queue
import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class LiteRT(MLModel):
    """The model as MLServer runs it."""

    async def load(self) -> bool:
        """Open the interpreters."""
        self._free: queue.Queue[Any] = queue.Queue()
        for _ in range(int(sys.argv[3])):
            interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
            interpreter.allocate_tensors()
            self._free.put(interpreter)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run one request."""
        values = NumpyCodec.decode_input(payload.inputs[0])
        found = await asyncio.get_running_loop().run_in_executor(None, self._run, values)
        outputs = [NumpyCodec.encode_output(name, one) for name, one in found]
        return InferenceResponse(model_name="model", outputs=outputs)

    def _run(self, values: Any) -> list[tuple[str, Any]]:
        interpreter = self._free.get()
        try:
            details = interpreter.get_input_details()[0]
            interpreter.set_tensor(details["index"], np.ascontiguousarray(values, details["dtype"]))
            interpreter.invoke()
            return [
                (one["name"], interpreter.get_tensor(one["index"]))
                for one in interpreter.get_output_details()
            ]
        finally:
            self._free.put(interpreter)


async def main() -> None:
    """Serve until a signal."""
    port = int(sys.argv[2])
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        parallel_workers=0,
        debug=False,
        access_log_settings=None,
    )
    server = MLServer(settings)
    await server.start([ModelSettings(name="model", implementation=LiteRT)])


if __name__ == "__main__":
    asyncio.run(main())
