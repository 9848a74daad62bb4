"""The PyTorch contender of caption_speed.py: the same encoder and decoder, written plainly."""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

sizes, dtype = json.loads(sys.argv[1]), sys.argv[2]
side, features, width, words, vocabulary, batch = (
    sizes[name] for name in ("side", "features", "width", "words", "vocabulary", "batch")
)
START, END = 1, 2
torch.manual_seed(0)


class Decoder(nn.Module):
    """Soft attention, an LSTM cell and the deep output, word by word."""

    def __init__(self, D):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.hidden, self.cell = nn.Linear(D, width), nn.Linear(D, width)
        self.key, self.query = nn.Linear(D, width), nn.Linear(width, width, bias=False)
        self.score, self.gate = nn.Linear(width, 1, bias=False), nn.Linear(width, 1)
        self.lstm = nn.LSTMCell(width + D, width)
        self.out_hidden = nn.Linear(width, width, bias=False)
        self.out_context = nn.Linear(D, width, bias=False)
        self.out = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(0.5)

    def begin(self, a):
        mean = a.mean(1)
        return self.key(a), torch.tanh(self.hidden(mean)), torch.tanh(self.cell(mean))

    def step(self, a, keys, word, h, c):
        energies = self.score(torch.tanh(keys + self.query(h)[:, None]))[..., 0]
        alpha = functional.softmax(energies, dim=1)
        z = torch.sigmoid(self.gate(h)) * torch.bmm(alpha[:, None], a)[:, 0]
        h, c = self.lstm(torch.cat([word, z], 1), (h, c))
        return h, c, z, alpha

    def word_scores(self, word, h, z):
        deep = word + self.out_hidden(self.dropout(h)) + self.out_context(z)
        return self.out(self.dropout(deep))

    def forward(self, a, word_ids):
        keys, h, c = self.begin(a)
        embedded = self.embedding(word_ids)
        states = []
        for t in range(word_ids.shape[1]):
            h, c, z, alpha = self.step(a, keys, embedded[:, t], h, c)
            states.append((h, z, alpha))
        h, z, alpha = (torch.stack(part, 1) for part in zip(*states))
        return self.word_scores(embedded, h, z), alpha


def layers(before, after, stride):
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return convolution, nn.BatchNorm2d(after), nn.PReLU(after)


if features is None:
    shape, D = (batch, 3, side, side), 64
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8)
    pictures = pictures.to(memory_format=torch.channels_last)
    stages = ((3, 32, 2), (32, 64, 2), *[(64, 64, 1)] * 2)
    encoder = nn.Sequential(*(part for each in stages for part in layers(*each)))
    encoder = encoder.to(memory_format=torch.channels_last)
else:
    D, encoder, pictures = features, nn.Identity(), torch.randn(batch, features, side, side)
decoder = Decoder(D + 2)
captions = torch.randint(END + 2, vocabulary, (batch, words + 1))
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.AdamW(parameters, 2e-3, weight_decay=0.05, foreach=True)
autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "mixed_bfloat16")


def annotations():
    with autocast:  # for the encoder alone, as in ours
        maps = encoder(pictures.float() / 64 - 2) if features is None else pictures
    maps = maps.float().permute(0, 2, 3, 1)  # (B, H, W, C)
    B, H, W, _ = maps.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, H), torch.linspace(-1, 1, W), indexing="ij")
    coordinates = torch.stack([x, y], -1).expand(B, H, W, 2)
    return torch.cat([maps, coordinates], -1).reshape(B, H * W, D + 2)


def train():
    encoder.train()
    decoder.train()
    optimizer.zero_grad(set_to_none=True)
    scores, alpha = decoder(annotations(), captions[:, :-1])
    log_p = functional.cross_entropy(scores.transpose(1, 2), captions[:, 1:], reduction="none")
    loss = (log_p.sum(1) + (1 - alpha.sum(1)).square().sum(1)).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def search(beam):
    """Captions of `words` words for each picture; END is never the best word."""
    encoder.eval()
    decoder.eval()
    a = annotations().repeat_interleave(beam, 0)
    keys, h, c = decoder.begin(a)
    word = torch.full((batch * beam,), START)
    sums = torch.full((batch, beam), -torch.inf)
    sums[:, 0] = 0
    words_so_far = torch.zeros(batch, beam, 0, dtype=torch.long)
    rows = torch.arange(batch)[:, None] * beam
    for _ in range(words):
        embedded = decoder.embedding(word)
        h, c, z, _ = decoder.step(a, keys, embedded, h, c)
        log_p = functional.log_softmax(decoder.word_scores(embedded, h, z), 1).view(batch, beam, -1)
        log_p[..., : END + 2] = -torch.inf
        sums, best = (sums[..., None] + log_p).view(batch, -1).topk(beam)
        parents, best_words = best // vocabulary, best % vocabulary
        beams = words_so_far.gather(1, parents[..., None].expand_as(words_so_far))
        words_so_far = torch.cat([beams, best_words[..., None]], 2)
        flat = (rows + parents).view(-1)
        h, c, word = h[flat], c[flat], best_words.view(-1)
    return words_so_far.tolist()


for line in sys.stdin:
    start = time.perf_counter()
    train() if line.strip() == "train" else search(int(line))
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
