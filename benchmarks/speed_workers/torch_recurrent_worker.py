"""The PyTorch contender of recurrent.py: one layer, loss and gradients, CPU ms of a step."""

import json
import statistics
import sys
import time

import torch

name, sizes, threads = sys.argv[1:]
B, T, n, D = map(int, sizes.split(","))
torch.set_num_threads(int(threads))
torch.manual_seed(0)
layer, x = getattr(torch.nn, name)(D, n, batch_first=True), torch.randn(B, T, D)
times = []
for turn in range(22):
    start = time.process_time()
    for _ in range(5):
        layer.zero_grad()
        layer(x)[0].square().sum().backward()
    if turn >= 2:
        times.append((time.process_time() - start) / 5 * 1e3)
print(json.dumps({"milliseconds": statistics.median(times)}))
