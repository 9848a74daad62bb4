"""The PyTorch contender of translate_speed.py: RNNsearch in its default form, written plainly."""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

sizes = json.loads(sys.argv[1])
J, T, units, width, vocabulary, batch = (
    sizes[name] for name in ("J", "T", "units", "width", "vocabulary", "batch")
)
START, END = 1, 2
torch.manual_seed(0)


class Translator(nn.Module):
    """A bidirectional encoder, and a decoder that weighs its annotations word by word."""

    def __init__(self):
        super().__init__()
        D = 2 * units
        self.source, self.target = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
        self.encoder = nn.GRU(width, units, batch_first=True, bidirectional=True)
        self.own_word, self.key = nn.Linear(width, D, bias=False), nn.Linear(D, units)
        self.query, self.word = nn.Linear(units, units, False), nn.Linear(width, units, False)
        self.score = nn.Linear(units, 1, bias=False)
        self.cell = nn.GRUCell(width + D, units)
        self.out_state = nn.Linear(units, 2 * width, bias=False)
        self.out_word = nn.Linear(width, 2 * width, bias=False)
        self.out_context, self.out = nn.Linear(D, 2 * width), nn.Linear(width, vocabulary)

    def begin(self, source):
        embedded = self.source(source)
        annotations = self.encoder(embedded)[0] + self.own_word(embedded)
        return annotations, self.key(annotations), torch.zeros(len(source), units)

    def step(self, annotations, keys, word, state):
        query = self.query(state) + self.word(word)
        energies = self.score(torch.tanh(keys + query[:, None]))[..., 0]
        alpha = functional.softmax(energies, dim=1)
        context = torch.bmm(alpha[:, None], annotations)[:, 0]
        return context, self.cell(torch.cat([word, context], 1), state)

    def word_scores(self, word, state, context):
        t = self.out_state(state) + self.out_word(word) + self.out_context(context)
        return self.out(torch.maximum(*t.chunk(2, -1)))

    def forward(self, source, words):
        annotations, keys, state = self.begin(source)
        embedded, states, contexts = self.target(words), [], []
        for t in range(words.shape[1]):
            states.append(state)
            context, state = self.step(annotations, keys, embedded[:, t], state)
            contexts.append(context)
        return self.word_scores(embedded, torch.stack(states, 1), torch.stack(contexts, 1))


network = Translator()
source = torch.randint(END + 2, vocabulary, (batch, J))
translation = torch.randint(END + 2, vocabulary, (batch, T + 1))
optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05, foreach=True)


def train():
    optimizer.zero_grad(set_to_none=True)
    scores = network(source, translation[:, :-1])
    loss = functional.cross_entropy(scores.transpose(1, 2), translation[:, 1:])
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def search(beam):
    """Translations of T words; END is never the best word."""
    annotations, keys, state = (each.repeat_interleave(beam, 0) for each in network.begin(source))
    word = torch.full((batch * beam,), START)
    sums = torch.full((batch, beam), -torch.inf)
    sums[:, 0] = 0
    so_far = torch.zeros(batch, beam, 0, dtype=torch.long)
    rows = torch.arange(batch)[:, None] * beam
    for _ in range(T):
        embedded = network.target(word)
        context, after = network.step(annotations, keys, embedded, state)
        log_p = functional.log_softmax(network.word_scores(embedded, state, context), 1)
        log_p = log_p.view(batch, beam, -1)
        log_p[..., : END + 1] = -torch.inf
        sums, best = (sums[..., None] + log_p).view(batch, -1).topk(beam)
        parents, words = best // vocabulary, best % vocabulary
        beams = so_far.gather(1, parents[..., None].expand_as(so_far))
        so_far = torch.cat([beams, words[..., None]], 2)
        state, word = after[(rows + parents).view(-1)], words.view(-1)
    return so_far.tolist()


for line in sys.stdin:
    start = time.perf_counter()
    train() if line.strip() == "train" else search(int(line))
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
