"""The contender of features.py that has tinyconv, Keras or ONNX Runtime."""

import json
import sys
import tempfile
import time
from pathlib import Path

from tinyconv.system.start_keras import start

start()
import numpy as np  # noqa: E402

from tinyconv import precision, registry  # noqa: E402
from tinyconv.layers import folding  # noqa: E402
from tinyconv.tasks import pretrained  # noqa: E402

mode, batch = sys.argv[1], int(sys.argv[2])
NAME = "efficientnet-lite0"
pictures = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3)).astype("uint8")
with precision.policy("mixed_bfloat16" if mode == "mixed_bfloat16" else "float32"):
    body = pretrained.build(NAME, registry.Catalogue().find("models", NAME), pictures.shape[1:])
    if mode in ("float32", "mixed_bfloat16"):
        body = folding.folded(body)
if mode == "onnxruntime":
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "body.onnx"))
        body(pictures[:1])  # Keras exports only what was called
        body.export(file, format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())

    def features():
        return session.run(None, {name: pictures.astype("float32")})[0]
else:

    def features():
        return body.predict_on_batch(pictures)


print(json.dumps(np.asarray(features(), "float32")[0].tolist()), flush=True)
for _ in sys.stdin:
    start_time = time.perf_counter()
    features()
    print(json.dumps(time.perf_counter() - start_time), flush=True)
