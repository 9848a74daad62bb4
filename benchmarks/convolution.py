"""Our 3x3 convolutions compared with oneDNN's, forward and in training.

    python benchmarks/convolution.py [--dtype float32]

In float32 ours is Winograd's (`winograd.py`), in bfloat16 that for narrow maps (`small_maps.py`).
"""

import argparse
import statistics
import time

from tinyconv.system import start_keras

start_keras.start()
import tensorflow as tf  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv.layers import small_maps, winograd  # noqa: E402

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
NARROW = [(64, 2, 512), (64, 4, 512), (64, 7, 512), (64, 8, 256), (64, 8, 512), (64, 12, 512)]
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    dtype = parser.parse_args().dtype
    contenders = {
        "direct": lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"),
        "ours": {
            "float32": winograd.convolution,
            "bfloat16": lambda x, kernel: small_maps.convolution(x, kernel, 1),
        }[dtype],
    }
    print("| batch, side, channels | direct, ms | ours, ms | faster |", end="")
    print(" training: direct, ms | ours, ms | faster | largest difference |")
    print("| --- " * 8 + "|")
    for batch, side, channels in SHAPES if dtype == "float32" else NARROW:
        shape = (batch, side, side, channels)
        inputs = [
            tf.cast(tf.random.normal(shape, stddev=spread), dtype)
            for shape, spread in (
                (shape, 1),
                ((3, 3, channels, channels), 0.05),
                (shape, 1),
            )
        ]
        cells = []
        for kind in (forward, training):
            steps = {name: kind(convolve) for name, convolve in contenders.items()}
            results = {name: step(*inputs) for name, step in steps.items()}  # traced and compiled
            seconds = {name: [] for name in steps}
            for _ in range(ROUNDS):
                for name, step in steps.items():
                    start = time.perf_counter()
                    step(*inputs)
                    seconds[name].append(time.perf_counter() - start)
            direct, ours = (statistics.median(each) * 1e3 for each in seconds.values())
            cells += [f"{direct:.1f}", f"{ours:.1f}", f"{direct / ours:.2f}x"]
        difference = max(
            float(tf.reduce_max(tf.abs(one - other)) / tf.math.reduce_std(one))
            for one, other in zip(
                *([tf.cast(each, "float32") for each in outputs] for outputs in results.values()),
                strict=True,
            )
        )
        row = [f"{batch}, {side}, {channels}", *cells, f"{difference:.0e} sd"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
