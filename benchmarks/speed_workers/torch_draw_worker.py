"""The PyTorch contender of draw_speed.py: DRAW, written plainly."""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

sizes = json.loads(sys.argv[1])
side, T, batch, n, Z, attention = (
    sizes[name] for name in ("side", "steps", "batch", "units", "latent", "attention")
)
READ, WRITE = sizes["read_size"], sizes["write_size"]
torch.manual_seed(0)


def filterbank(parameters, size):
    """F_Y and F_X (B, N, side) and gamma (B, 1, 1) of five numbers."""
    x, y, log_variance, log_stride, log_gamma = parameters.unbind(1)
    stride = (side - 1) / (size - 1) * log_stride.exp()
    i = torch.arange(1, size + 1) - size / 2 - 0.5
    pixels, filters = torch.arange(1, side + 1), []
    for middle in (y, x):
        mu = (side + 1) / 2 * (middle + 1)[:, None] + i * stride[:, None]
        squares = (pixels - mu[..., None]) ** 2
        F = torch.exp(-squares / (2 * log_variance.exp()[:, None, None]))
        filters.append(F / (F.sum(2, keepdim=True) + 1e-8))
    return *filters, log_gamma.exp()[:, None, None]


class Draw(nn.Module):
    """The encoder, the decoder and their windows."""

    def __init__(self):
        super().__init__()
        pixels = side * side
        read_size, write_size = (READ**2, WRITE**2) if attention == "both" else (pixels, pixels)
        self.encoder, self.decoder = nn.LSTMCell(2 * read_size + n, n), nn.LSTMCell(Z, n)
        self.mean, self.log_deviation = nn.Linear(n, Z), nn.Linear(n, Z)
        self.patch = nn.Linear(n, write_size)
        self.read_window, self.write_window = nn.Linear(n, 5), nn.Linear(n, 5)
        self.canvas_0 = nn.Parameter(torch.zeros(side, side))
        self.states_0 = nn.Parameter(torch.zeros(4, n))

    def read(self, x, error, h_dec):
        if attention != "both":
            return torch.cat([x.flatten(1), error.flatten(1)], 1)
        F_Y, F_X, gamma = filterbank(self.read_window(h_dec), READ)
        both = [gamma * (F_Y @ each @ F_X.mT) for each in (x, error)]
        return torch.stack(both, 1).flatten(1)

    def write(self, h_dec):
        w = self.patch(h_dec)
        if attention != "both":
            return w.view(-1, side, side)
        F_Y, F_X, gamma = filterbank(self.write_window(h_dec), WRITE)
        return F_Y.mT @ w.view(-1, WRITE, WRITE) @ F_X / gamma

    def forward(self, x, noise):
        canvas = self.canvas_0.expand(len(x), -1, -1)
        h_enc, cell_enc, h_dec, cell_dec = self.states_0[:, None].expand(-1, len(x), -1)
        kl = 0.0
        for t in range(T):
            r = self.read(x, x - torch.sigmoid(canvas), h_dec)
            h_enc, cell_enc = self.encoder(torch.cat([r, h_dec], 1), (h_enc, cell_enc))
            mean, log_deviation = self.mean(h_enc), self.log_deviation(h_enc)
            z = mean + log_deviation.exp() * noise[:, t]
            kl = kl + (mean**2 + (2 * log_deviation).exp() - 2 * log_deviation - 1).sum(1) / 2
            h_dec, cell_dec = self.decoder(z, (h_dec, cell_dec))
            canvas = canvas + self.write(h_dec)
        return canvas, kl


network = Draw()
pictures = torch.randint(0, 2, (batch, side, side)).float()
noise = torch.randn(batch, T, Z)
optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05, foreach=True)

for _ in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    optimizer.zero_grad(set_to_none=True)
    canvas, kl = network(pictures, noise)
    nats = functional.binary_cross_entropy_with_logits(canvas, pictures, reduction="none")
    loss = (nats.sum((1, 2)) + kl).mean()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 50.0)
    optimizer.step()
    loss.item()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)
