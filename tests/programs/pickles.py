"""Fits, predicts and resumes in a process that records every class that a pickle names.

Prints them as JSON. Python raises the audit event "pickle.find_class" for each, in any unpickler.
"""

import json
import sys

classes = []
sys.addaudithook(lambda event, names: event == "pickle.find_class" and classes.append(names))

import pickle  # noqa: E402  after the hook

pickle.loads(pickle.dumps(json.JSONDecoder))
witness = classes.pop()  # the hook works

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from tinyconv.system import start_keras  # noqa: E402

start_keras.start()
import tinyconv  # noqa: E402

run = tinyconv.fit(model="two_layer", limit=64, epochs=1, name="mine")
run.evaluate()
Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
assert list(tinyconv.load("mine").predict("seven.png"))
tinyconv.resume("mine", epochs=2)
print(json.dumps({"witness": witness, "classes": classes}))
