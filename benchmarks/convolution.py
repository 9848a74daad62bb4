"""Winograd's 3x3 convolution beside oneDNN's own, in float32, forward and in training.

python benchmarks/convolution.py
"""

import statistics
import time

from tinyconv.startup import start

start()
import tensorflow as tf  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import winograd  # noqa: E402

SHAPES = [  # B, side, C = F
    (64, 64, 64),
    (64, 32, 64),
    (64, 16, 128),
    (64, 8, 256),
    (64, 4, 512),
    (64, 14, 256),
    (64, 7, 512),
    (256, 8, 512),
    (64, 64, 32),
    (64, 16, 32),
    (128, 32, 16),
]
ROUNDS = 9


def forward(convolve):
    return tf.function(lambda x, kernel, upstream: convolve(x, kernel), autograph=False)


def training(convolve):
    """The output and both gradients."""

    @tf.function(autograph=False)
    def step(x, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
        return y, *tape.gradient(y, [x, kernel], upstream)

    return step


def main() -> None:
    contenders = {
        "direct": lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"),
        "Winograd": winograd.convolution(),
    }
    print("| batch, side, channels | direct, ms | Winograd, ms | faster |", end="")
    print(" training: direct, ms | Winograd, ms | faster | largest difference |")
    print("| --- " * 8 + "|")
    for batch, side, channels in SHAPES:
        shape = (batch, side, side, channels)
        given = (
            tf.random.normal(shape),
            tf.random.normal((3, 3, channels, channels), stddev=0.05),
            tf.random.normal(shape),
        )
        cells = []
        for kind in (forward, training):
            steps = {name: kind(convolve) for name, convolve in contenders.items()}
            results = {name: step(*given) for name, step in steps.items()}  # traced and compiled
            seconds = {name: [] for name in steps}
            for _ in range(ROUNDS):
                for name, step in steps.items():
                    begun = time.perf_counter()
                    step(*given)
                    seconds[name].append(time.perf_counter() - begun)
            direct, ours = (statistics.median(each) * 1e3 for each in seconds.values())
            cells += [f"{direct:.1f}", f"{ours:.1f}", f"{direct / ours:.2f}x"]
        difference = max(
            float(tf.reduce_max(tf.abs(one - other)) / tf.math.reduce_std(one))
            for one, other in zip(*results.values(), strict=True)
        )
        row = [f"{batch}, {side}, {channels}", *cells, f"{difference:.0e} sd"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
