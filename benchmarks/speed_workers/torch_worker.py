"""The PyTorch contender of training_speed.py: the network that the graph file describes."""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

contender, network, size, batch, classes, dtype, graph = sys.argv[1:]
size, batch, classes = int(size), int(batch), int(classes)
torch.manual_seed(0)


class Padded(nn.Module):
    """The shortcut without parameters: every other pixel, and zeros for new channels."""

    def __init__(self, row, channels):
        super().__init__()
        self.strides, self.new = row["strides"], row["filters"] - channels

    def forward(self, x):
        pixels = x[:, :, :: self.strides, :: self.strides]
        return nn.functional.pad(pixels, (0, 0, 0, 0, 0, self.new))


def module(row, channels):
    """The PyTorch module of a layer with so many input channels."""
    kind = row["kind"]
    if kind == "Conv2D":
        kernel, strides = row["kernel_size"][0], row["strides"][0]
        return nn.LazyConv2d(row["filters"], kernel, strides, kernel // 2, bias=row["use_bias"])
    if kind == "MaxPooling2D":
        return nn.MaxPool2d(row["pool_size"][0], row["strides"][0])
    return {
        "BatchNormalization": lambda: nn.LazyBatchNorm2d(momentum=0.1),
        "PReLU": lambda: nn.PReLU(row["channels"], init=0.25),
        "Dense": lambda: nn.LazyLinear(row["units"]),
        "Dropout": lambda: nn.Dropout(row.get("rate", 0)),
        "GlobalAveragePooling2D": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "Flatten": lambda: nn.Flatten(),
        "PaddedShortcut": lambda: Padded(row, channels),
    }[kind]()


class Network(nn.Module):
    """The layers in their order, each applied to the outputs that it names."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows
        channels = {row["name"]: row["channels"] for row in rows}
        self.parts = nn.ModuleDict(
            {
                row["name"]: module(row, channels[row["inputs"][0]])
                for row in rows
                if row["kind"] not in ("InputLayer", "Rescaling", "Add")
            }
        )

    def forward(self, pictures):
        made = {}
        for row in self.rows:
            taken = [made[name] for name in row["inputs"]]
            if row["kind"] == "InputLayer":
                made[row["name"]] = pictures
            elif row["kind"] == "Rescaling":
                made[row["name"]] = taken[0].float() / 64 - 2
            elif row["kind"] == "Add":
                made[row["name"]] = taken[0] + taken[1]
            else:
                made[row["name"]] = self.parts[row["name"]](taken[0])
        return made[self.rows[-1]["name"]]


pictures = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
pictures = pictures.to(memory_format=torch.channels_last)
labels = torch.randint(0, classes, (batch,))
model = Network(json.loads(Path(graph).read_text()))
model(pictures)  # the lazy modules take their shapes
model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(
    model.parameters(), 0.02, momentum=0.9, nesterov=True, weight_decay=5e-3, foreach=True
)
loss = nn.CrossEntropyLoss()
run = torch.compile(model) if contender.endswith("torch.compile") else model
autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "mixed_bfloat16")


def train():
    model.train()
    optimizer.zero_grad(set_to_none=True)
    with autocast:
        value = loss(run(pictures), labels)
    value.backward()
    optimizer.step()
    return value.item()


def predict():
    model.eval()
    with torch.no_grad(), autocast:
        return run(pictures).float().numpy()


for line in sys.stdin:
    verb, begun = line.strip(), time.perf_counter()
    if verb in ("warm up", "train"):
        train()
    if verb in ("warm up", "predict"):
        predict()
    answer = {"seconds": time.perf_counter() - begun}
    answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer), flush=True)
