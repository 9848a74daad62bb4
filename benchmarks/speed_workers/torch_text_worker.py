"""PyTorch's contender of text.py: nn.LSTM or nn.GRU, of the same sizes, on the same batches."""

import json
import sys
import time

import numpy as np
import torch
from torch import nn

STEPS = 5  # of a round
sizes = json.loads(sys.argv[2])
torch.set_num_threads(sizes["threads"])
torch.manual_seed(0)
V, B, T = sizes["symbols"], sizes["batch"], sizes["window"]
embedding = nn.Embedding(V, sizes["embedding"])
cell = {"lstm": nn.LSTM, "gru": nn.GRU}[sizes["cell"]](
    sizes["embedding"], sizes["units"], batch_first=True
)
scores = nn.Linear(sizes["units"], V)
parameters = [p for module in (embedding, cell, scores) for p in module.parameters()]
optimizer = torch.optim.Adam(parameters, 0.003)
random, place, state = np.random.default_rng(0), 0, None
text = (np.arange(B)[:, None] * 7 + np.arange(2000)) % V
text = np.where(random.random(text.shape) < 0.2, random.integers(0, V, text.shape), text)
for _ in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        window = torch.from_numpy(text[:, (place + np.arange(T + 1)) % text.shape[1]])
        hidden, state = cell(embedding(window[:, :-1]), state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = nn.functional.cross_entropy(scores(hidden).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        place += T
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**times, "characters": STEPS * B * T, "loss": float(loss)}), flush=True)
