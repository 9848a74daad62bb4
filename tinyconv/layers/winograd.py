"""3x3 convolution with a quarter of the multiplications: F(4x4, 3x3) of Lavin & Gray 2016.

"Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.3. A tile of
6x6 pixels d and a kernel g of 3x3 give 4x4 outputs

    Y = A' [(G g G') * (B' d B)] A

where * multiplies number by number: 36 multiplications, and 144 the direct way. Summed over
the channels, each of the 36 is a matrix product of its own, (tiles, C) @ (C, F), which oneDNN
does near the processor's peak. The transforms before and after are sums of a few numbers,
bound by memory, so XLA makes one loop of each. The gradients are the same formula transposed.
Rounding grows with the constants in B and A: in float32 to about 1e-5 of the outputs' spread.
"""

from functools import cache

import numpy as np

from tinyconv.layers import fused_norm
from tinyconv.system import hardware

TILE = 4  # outputs a tile, each way

B = np.array(  # (6 pixels, 6)
    [
        [4, 0, 0, 0, 0, 0],
        [0, -4, 4, -2, 2, 4],
        [-5, -4, -4, -1, -1, 0],
        [0, 1, -1, 2, -2, -5],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
)
G = np.array(  # (6, 3 weights)
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
A = np.array(  # (6, 4 outputs)
    [[1, 0, 0, 0], [1, 1, 1, 1], [1, -1, 1, -1], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 1]]
)


# Measured (benchmarks/RESULTS.md): the sums cost as much whatever the number of products that they
# save, and AVX-512 multiplies twice as fast. And XLA takes a second for each new shape of map,
# which a convolution of a few milliseconds a batch does not earn back.
FEWEST_CHANNELS, WITH_AVX512 = 64, 128
FEWEST_PRODUCTS = 5e8  # of a batch


def is_worthwhile(shape, filters) -> bool:
    """Whether the transforms cost less than what they save on maps of `shape` (B, H, W, C)."""
    batch, height, width, channels = shape
    fewest = WITH_AVX512 if "avx512f" in hardware.cpu_flags() else FEWEST_CHANNELS
    if None in (height, width) or min(channels, filters) < fewest:
        return False
    products = 9 * height * width  # of a picture, a channel and a filter
    if batch is not None and batch * products * channels * filters < FEWEST_PRODUCTS:
        return False
    return 2 * (TILE + 2) ** 2 * _tiles(height) * _tiles(width) <= products  # half, or fewer


def _tiles(length: int) -> int:
    """How many tiles cover `length` outputs."""
    return -(-length // TILE)


@cache
def convolution():
    """f(x, kernel): 3x3 convolution of stride 1, padded with zeros to the same size.

    x (B, H, W, C) and kernel (3, 3, C, F) of one dtype, float32 or float64, to (B, H, W, F);
    H and W are known, B need not be. Maps inside have the axes (6 columns, 6 rows, B, tiles
    down, tiles across, channels).
    """
    import tensorflow as tf

    def one_loop(function):
        return tf.function(function, jit_compile=True, autograph=False)

    def combine(matrix, parts):
        """The sums of `parts` by the columns of `matrix`, without its zeros."""
        return [
            sum(float(factor) * part for factor, part in zip(column, parts, strict=True) if factor)
            for column in matrix.T
        ]

    # Each transform works along the rows and then along the columns, a pass over memory each:
    # in one pass, every number would be summed again for each of the numbers it goes into.

    @one_loop
    def tiles_down(x):  # B' d: (B, H, W, C) -> (6, B, tiles, W, C)
        last = x.shape[1] - 5  # where the last tile's first pixel stands, and one more
        return tf.stack(combine(B, [x[:, i : i + last : TILE] for i in range(6)]))

    @one_loop
    def tiles_across(x):  # (6, B, tiles, W, C) -> (6, 6, B, tiles, tiles, C)
        last = x.shape[3] - 5
        return tf.stack(combine(B, [x[:, :, :, i : i + last : TILE] for i in range(6)]))

    @one_loop
    def outputs_across(m):  # A' m: (6, 6, B, tiles, tiles, F) -> (6, B, tiles, W, F)
        rows, across, filters = m.shape[3], m.shape[4], m.shape[5]
        outputs = tf.stack(combine(A, tf.unstack(m)), axis=4)
        return tf.reshape(outputs, [6, -1, rows, across * TILE, filters])

    @one_loop
    def outputs_down(m):  # (6, B, tiles, W, F) -> (B, H, W, F)
        _, _, rows, width, filters = m.shape
        return tf.reshape(
            tf.stack(combine(A, tf.unstack(m)), axis=2), [-1, rows * TILE, width, filters]
        )

    # The transposed transforms, for the gradients.

    @one_loop
    def outputs_down_back(y):  # (B, H, W, F) -> (6, B, tiles, W, F)
        _, height, width, filters = y.shape
        tiles = tf.reshape(y, [-1, height // TILE, TILE, width, filters])
        return tf.stack(combine(A.T, tf.unstack(tiles, axis=2)))

    @one_loop
    def outputs_across_back(m):  # (6, B, tiles, W, F) -> (6, 6, B, tiles, tiles, F)
        _, _, rows, width, filters = m.shape
        tiles = tf.reshape(m, [6, -1, rows, width // TILE, TILE, filters])
        return tf.stack(combine(A.T, tf.unstack(tiles, axis=4)))

    def overlapped(v, axis):
        """The four pixels that a tile has to itself, of the six that it read along `axis`.

        Its first one is the fourth of the tile before, and its last the first of the next.
        """
        count = v[0].shape[axis]
        nothing = tf.zeros_like(tf.gather(v[0], [0], axis=axis))
        before = tf.concat([nothing, _take(v[5], axis, 0, count - 1)], axis)
        after = tf.concat([_take(v[0], axis, 1, count), nothing], axis)
        return [v[1] + before, v[2], v[3], v[4] + after]

    def _take(x, axis, start, stop):
        return x[(slice(None),) * axis + (slice(start, stop),)]

    @one_loop
    def tiles_across_back(v):  # (6, 6, B, tiles, tiles, C) -> (6, B, tiles, W, C)
        _, _, _, rows, across, channels = v.shape
        pixels = tf.stack(overlapped(combine(B.T, tf.unstack(v)), axis=3), axis=4)
        return tf.reshape(pixels, [6, -1, rows, across * TILE, channels])

    @one_loop
    def tiles_down_back(v):  # (6, B, tiles, W, C) -> (B, H, W, C)
        _, _, rows, width, channels = v.shape
        pixels = tf.stack(overlapped(combine(B.T, tf.unstack(v)), axis=1), axis=2)
        return tf.reshape(pixels, [-1, rows * TILE, width, channels])

    def forward(padded, products):
        return tiles_across(tiles_down(padded)), outputs_down(outputs_across(products))

    def backward(upstream, products):
        return (
            outputs_across_back(outputs_down_back(upstream)),
            tiles_down_back(tiles_across_back(products)),
        )

    both_ways = np.einsum("ai,bj->baij", G, G).reshape(36, 9)

    @tf.custom_gradient
    def convolve(x, kernel):
        _, height, width, channels = x.shape
        filters = kernel.shape[-1]
        rows, across = _tiles(height), _tiles(width)
        rest = [[0, 0], [0, rows * TILE - height], [0, across * TILE - width], [0, 0]]
        to_kernel = tf.constant(both_ways, kernel.dtype)

        def make_ahead(program, *shapes):
            fused_norm.make_ahead(program, (), *(tf.TensorSpec(shape, x.dtype) for shape in shapes))

        def tiles():  # (36, tiles, C)
            padded = tf.pad(x, [[0, 0], [1, 1 + rest[1][1]], [1, 1 + rest[2][1]], [0, 0]])
            tiled = 6, 6, padded.shape[0], rows, across, filters
            make_ahead(forward, padded.shape, tiled)
            return tf.reshape(tiles_across(tiles_down(padded)), [36, -1, channels])

        transformed = tf.matmul(to_kernel, tf.reshape(kernel, [9, channels * filters]))
        transformed = tf.reshape(transformed, [36, channels, filters])  # G g G'
        v = tiles()
        products = tf.reshape(tf.matmul(v, transformed), [6, 6, -1, rows, across, filters])
        y = outputs_down(outputs_across(products))[:, :height, :width]

        def gradients(upstream):
            tiled = 6, 6, x.shape[0], rows, across, channels
            whole = x.shape[0], rows * TILE, across * TILE, filters
            make_ahead(backward, whole, tiled)
            back = outputs_across_back(outputs_down_back(tf.pad(upstream, rest)))
            back = tf.reshape(back, [36, -1, filters])
            for_kernel = tf.matmul(v, back, transpose_a=True)  # (36, C, F)
            for_kernel = tf.reshape(for_kernel, [36, channels * filters])
            for_kernel = tf.matmul(to_kernel, for_kernel, transpose_a=True)
            for_x = tf.matmul(back, transformed, transpose_b=True)  # (36, tiles, C)
            for_x = tf.reshape(for_x, [6, 6, -1, rows, across, channels])
            for_x = tiles_down_back(tiles_across_back(for_x))[:, :height, :width]
            return for_x, tf.reshape(for_kernel, kernel.shape)

        return y, gradients

    return lambda x, kernel: convolve(x, tf.convert_to_tensor(kernel))  # a variable's value
