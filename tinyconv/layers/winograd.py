"""3x3 convolution with a quarter of the multiplications: F(4x4, 3x3) of Lavin & Gray 2016.

"Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.3. A tile of
6x6 pixels d and a kernel g of 3x3 give 4x4 outputs

    Y = A' [(G g G') * (B' d B)] A

where * multiplies elementwise: 36 multiplications, where the direct way takes 144. Summed over
the channels, each of the 36 is a matrix product, (tiles, C) @ (C, F), which oneDNN computes near
the processor's peak. The transforms before and after are sums of a few numbers, bound by memory,
so each is one loop compiled by XLA. The gradients are the same formula transposed. Rounding grows
with the constants in B and A: in float32 to about 1e-5 of the outputs' standard deviation.
"""

import functools

import numpy as np
import tensorflow as tf

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
GG = np.einsum("ai,bj->baij", G, G).reshape(36, 9)  # computes G g G' of all 9 weights at once


# Measured (benchmarks/RESULTS.md): the sums cost the same whatever the number of products that they
# save, and AVX-512 multiplies twice as fast. Also, XLA takes a second for each new shape of map,
# which a convolution of a few milliseconds per batch does not earn back.
MIN_CHANNELS, MIN_CHANNELS_AVX512 = 64, 128
MIN_PRODUCTS = 5e8  # per batch


def is_worthwhile(shape, filters) -> bool:
    """Whether the transforms cost less than they save on feature maps of `shape` (B, H, W, C)."""
    batch, height, width, channels = shape
    fewest = MIN_CHANNELS_AVX512 if "avx512f" in hardware.cpu_flags() else MIN_CHANNELS
    if None in (height, width) or min(channels, filters) < fewest:
        return False
    products = 9 * height * width  # per picture, channel and filter
    if batch is not None and batch * products * channels * filters < MIN_PRODUCTS:
        return False
    return 2 * (TILE + 2) ** 2 * _tiles(height) * _tiles(width) <= products  # half, or fewer


def _tiles(length: int) -> int:
    """The number of tiles that cover `length` outputs."""
    return -(-length // TILE)


def convolution(x, kernel):
    """3x3 convolution of stride 1, padded to the same size: (B, H, W, C) -> (B, H, W, F).

    x and kernel (3, 3, C, F) are of one dtype, float32 or float64; H and W are known.
    """
    return _convolution(x, tf.convert_to_tensor(kernel))  # a variable's value


@tf.custom_gradient
def _convolution(x, kernel):
    """Y, and a function from Y's gradient to those of x and the kernel."""
    batch, height, width, channels = x.shape
    tiled = 6, 6, batch, _tiles(height), _tiles(width), kernel.shape[-1]
    padded = _whole_tiles(x, border=1)
    _compile_ahead(_forward, x.dtype, padded.shape, tiled)
    d = tf.reshape(tiles_across(tiles_down(padded)), [36, -1, channels])
    g = _kernel_both_ways(kernel)
    m = tf.reshape(tf.matmul(d, g), _open(tiled))
    y = outputs_down(outputs_across(m))[:, :height, :width]
    return y, lambda upstream: _gradients(upstream, d, g, x.shape)


def _gradients(upstream, d, g, shape):
    """The gradients of x (B, H, W, C), whose `shape` is given, and of the kernel (3, 3, C, F).

    Computed from that of Y (B, H, W, F), the transformed map d (36, tiles, C) and the transformed
    kernel g (36, C, F).
    """
    batch, height, width, channels = shape
    down, across, filters = _tiles(height), _tiles(width), g.shape[-1]
    tiled = 6, 6, batch, down, across, channels
    _compile_ahead(_backward, d.dtype, (batch, down * TILE, across * TILE, filters), tiled)
    by_m = outputs_across_back(outputs_down_back(_whole_tiles(upstream, border=0)))
    by_m = tf.reshape(by_m, [36, -1, filters])
    by_kernel = _kernel_both_ways_back(tf.matmul(d, by_m, transpose_a=True))
    by_d = tf.reshape(tf.matmul(by_m, g, transpose_b=True), _open(tiled))
    by_x = tiles_down_back(tiles_across_back(by_d))[:, :height, :width]
    return by_x, by_kernel


def _open(shape) -> list[int]:
    """A static shape (6, 6, B, ...) for tf.reshape, which infers B."""
    return [*shape[:2], -1, *shape[3:]]


def _whole_tiles(maps, border):
    """Maps (B, H, W, C) with a border of zeros, plus those that complete the last tiles."""
    below, right = (-side % TILE for side in maps.shape[1:3])
    return tf.pad(maps, [[0, 0], [border, border + below], [border, border + right], [0, 0]])


def _kernel_both_ways(kernel):
    """G g G' of each kernel: (3, 3, C, F) -> (36, C, F)."""
    *_, channels, filters = kernel.shape
    flat = tf.reshape(kernel, [9, channels * filters])
    return tf.reshape(tf.matmul(tf.constant(GG, kernel.dtype), flat), [36, channels, filters])


def _kernel_both_ways_back(by_g):
    """G' by_g G, the gradient of g: (36, C, F) -> (3, 3, C, F)."""
    _, channels, filters = by_g.shape
    flat = tf.reshape(by_g, [36, channels * filters])
    by_kernel = tf.matmul(tf.constant(GG, by_g.dtype), flat, transpose_a=True)
    return tf.reshape(by_kernel, [3, 3, channels, filters])


# The transforms. Maps inside have the axes (6 columns, 6 rows, B, tiles down, tiles across,
# channels). Each transform works along the rows and then along the columns, one pass over memory
# each: in a single pass, every number would be summed again for each number it contributes to.

one_loop = functools.partial(tf.function, jit_compile=True, autograph=False)


@one_loop
def tiles_down(x):
    """B' d, down the columns of each tile: (B, H, W, C) -> (6, B, tiles, W, C)."""
    last = x.shape[1] - 5  # one past the first pixel of the last tile
    return tf.stack(_combine(B, [x[:, i : i + last : TILE] for i in range(6)]))


@one_loop
def tiles_across(x):
    """(B' d) B: (6, B, tiles, W, C) -> (6, 6, B, tiles, tiles, C)."""
    last = x.shape[3] - 5
    return tf.stack(_combine(B, [x[:, :, :, i : i + last : TILE] for i in range(6)]))


@one_loop
def outputs_across(m):
    """m A: (6, 6, B, tiles, tiles, F) -> (6, B, tiles, W, F)."""
    _, _, _, rows, across, filters = m.shape
    outputs = tf.stack(_combine(A, tf.unstack(m)), axis=4)
    return tf.reshape(outputs, [6, -1, rows, across * TILE, filters])


@one_loop
def outputs_down(m):
    """A' (m A), the outputs Y: (6, B, tiles, W, F) -> (B, H, W, F)."""
    _, _, rows, width, filters = m.shape
    outputs = tf.stack(_combine(A, tf.unstack(m)), axis=2)
    return tf.reshape(outputs, [-1, rows * TILE, width, filters])


def _forward(padded, m):
    """Both transforms of a convolution, to be compiled ahead."""
    return tiles_across(tiles_down(padded)), outputs_down(outputs_across(m))


# The same transposed, for the gradients.


@one_loop
def outputs_down_back(y):
    """A y: (B, H, W, F) -> (6, B, tiles, W, F)."""
    _, height, width, filters = y.shape
    tiles = tf.reshape(y, [-1, height // TILE, TILE, width, filters])
    return tf.stack(_combine(A.T, tf.unstack(tiles, axis=2)))


@one_loop
def outputs_across_back(m):
    """(A y) A': (6, B, tiles, W, F) -> (6, 6, B, tiles, tiles, F)."""
    _, _, rows, width, filters = m.shape
    tiles = tf.reshape(m, [6, -1, rows, width // TILE, TILE, filters])
    return tf.stack(_combine(A.T, tf.unstack(tiles, axis=4)))


@one_loop
def tiles_across_back(v):
    """v B': (6, 6, B, tiles, tiles, C) -> (6, B, tiles, W, C), W without the border."""
    _, _, _, rows, across, channels = v.shape
    pixels = tf.stack(_overlapped(_combine(B.T, tf.unstack(v)), axis=3), axis=4)
    return tf.reshape(pixels, [6, -1, rows, across * TILE, channels])


@one_loop
def tiles_down_back(v):
    """B (v B'): (6, B, tiles, W, C) -> (B, H, W, C), H without the border."""
    _, _, rows, width, channels = v.shape
    pixels = tf.stack(_overlapped(_combine(B.T, tf.unstack(v)), axis=1), axis=2)
    return tf.reshape(pixels, [-1, rows * TILE, width, channels])


def _backward(y, v):
    """Both transforms of the gradients, to be compiled ahead."""
    return outputs_across_back(outputs_down_back(y)), tiles_down_back(tiles_across_back(v))


def _compile_ahead(program, dtype, *shapes):
    """Compile the loops of `program` for maps of `shapes`; see `fused_norm.compile_ahead`."""
    fused_norm.compile_ahead(program, (), *(tf.TensorSpec(shape, dtype) for shape in shapes))


def _combine(matrix, parts) -> list:
    """The sums of `parts`, all of one shape, weighted by each column of `matrix`, zeros skipped."""
    return [
        sum(float(factor) * part for factor, part in zip(column, parts, strict=True) if factor)
        for column in matrix.T
    ]


def _overlapped(v, axis) -> list:
    """The four pixels along `axis` that belong to each tile, of the six that it read.

    A tile's first pixel is the fourth of the previous tile, its last the first of the next.
    """
    count = v[0].shape[axis]
    nothing = tf.zeros_like(tf.gather(v[0], [0], axis=axis))
    before = tf.concat([nothing, _slice(v[5], axis, 0, count - 1)], axis)
    after = tf.concat([_slice(v[0], axis, 1, count), nothing], axis)
    return [v[1] + before, v[2], v[3], v[4] + after]


def _slice(x, axis, start, stop):
    return x[(slice(None),) * axis + (slice(start, stop),)]
