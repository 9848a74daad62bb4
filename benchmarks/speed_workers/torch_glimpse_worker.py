"""The PyTorch contender of glimpse_speed.py: RAM in its default form, written plainly.

Its sensor cuts the patches of a whole batch at once by `grid_sample`, from average-pooled copies of
the picture; no loop runs over the batch.
"""

import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional

sizes = json.loads(sys.argv[1])
g, T, batch, side = (sizes[name] for name in ("patch", "glimpses", "batch", "side"))
sensor, glimpse, units = (sizes[name] for name in ("sensor", "glimpse", "units"))
scales, deviation = 3, 0.15
torch.manual_seed(0)
steps = torch.arange(g) - (g - 1) / 2
offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)  # (g, g, 2): x, y


def retina(pyramid, location):
    """(B, 3 g g) from pooled pictures and locations (B, 2)."""
    patches = []
    for k, level in enumerate(pyramid):
        places = location[:, None, None] + offsets * (2 * 2**k / (side - 1))
        patches.append(functional.grid_sample(level, places, align_corners=False))
    return torch.cat(patches, 1).flatten(1)


class Ram(nn.Module):
    """The recurrent attention model with a hidden layer in the location network."""

    def __init__(self):
        super().__init__()
        self.what, self.where = nn.Linear(scales * g * g, sensor), nn.Linear(2, sensor)
        self.what_g, self.where_g = nn.Linear(sensor, glimpse), nn.Linear(sensor, glimpse)
        self.core, self.core_g = nn.Linear(units, units), nn.Linear(glimpse, units)
        self.action, self.baseline = nn.Linear(units, 10), nn.Linear(units, 1)
        self.aim = nn.Sequential(nn.Linear(units, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh())

    def forward(self, pictures, looks):
        grey = pictures.float() / 255
        pyramid = [grey] + [functional.avg_pool2d(grey, 2**k) for k in range(1, scales)]
        h, scores, log_pi, values = torch.zeros(len(grey), units), [], [], []
        location = looks[:, 0]
        for t in range(T):
            if t:
                mean = self.aim(h)
                sample = (mean + deviation * looks[:, t]).detach()
                squares = ((sample - mean) / deviation).square().sum(1)
                log_pi.append(-squares / 2 - 2 * math.log(deviation * math.sqrt(2 * math.pi)))
                values.append(self.baseline(h.detach())[:, 0])
                location = sample.clamp(-1, 1)
            what = self.what(retina(pyramid, location)).relu()
            where = self.where(location).relu()
            g = (self.what_g(what) + self.where_g(where)).relu()
            h = (self.core(h) + self.core_g(g)).relu()
            scores.append(self.action(h))
        return torch.stack(scores, 1), torch.stack(log_pi, 1), torch.stack(values, 1)


network = Ram()
pictures = torch.randint(0, 256, (batch, 1, side, side), dtype=torch.uint8)
looks = torch.randn(batch, T, 2)
labels = torch.randint(0, 10, (batch,))
optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05, foreach=True)


def train():
    optimizer.zero_grad(set_to_none=True)
    scores, log_pi, values = network(pictures, looks)
    repeated = labels.repeat_interleave(T)
    losses = functional.cross_entropy(scores.flatten(0, 1), repeated, reduction="none")
    reward = (-losses.detach()).exp().reshape(-1, T)[:, 1:]
    policy = -(log_pi * (reward - values).detach()).sum(1).mean()
    baseline = (values - reward).square().sum(1).mean()
    loss = losses.mean() + policy + baseline
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in sys.stdin:
    start = time.process_time()
    train()
    print(json.dumps({"seconds": time.process_time() - start}), flush=True)
