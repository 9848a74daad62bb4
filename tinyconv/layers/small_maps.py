"""3x3 convolution of narrow feature maps in bfloat16, by two rearrangements that make it faster.

A network's last feature maps are a few pixels wide and have hundreds of channels. oneDNN's kernels
run along a row of pixels, and short rows slow them down: on 4x4 maps they reach a third of their
speed on 16x16 maps, for the kernel's gradient a fifth. Two rearrangements make the rows longer; the
sums are the same, in another order.

- Pictures side by side: sixteen pictures become one, with columns of zeros between them, so that
  a kernel never reads two pictures at once.
- Products: the gradient of the kernel's tap (i, j) is one matrix product, of the map shifted by
  (i, j) and the gradient of the outputs.

The sizes for which each is faster were measured (benchmarks/RESULTS.md). Axes: B pictures, H W
pixels, C channels of the map, F filters.
"""

import tensorflow as tf

TOGETHER = 16  # pictures side by side
MAX_WIDTH_TOGETHER = 7  # pixels: the largest output width for which pictures go side by side
MIN_WEIGHTS_TOGETHER = 2**17  # channels times filters; fewer stay in a core's cache anyway
MAX_WIDTH_PRODUCTS = 12  # pixels: the largest width for which the kernel's gradient uses products
MIN_WEIGHTS_PRODUCTS = 2**16  # channels times filters, for the products


def is_worthwhile(shape, filters, strides) -> bool:
    """Whether `convolution` is faster than oneDNN's own on maps of `shape` (B, H, W, C)."""
    _, height, width, channels = shape
    if None in (height, width) or height % strides or width % strides:
        return False
    return _goes_together(width // strides, channels * filters) or (
        strides == 1 and _has_products(width, channels * filters)
    )


def _goes_together(width, weights) -> bool:
    return width <= MAX_WIDTH_TOGETHER and weights >= MIN_WEIGHTS_TOGETHER


def _has_products(width, weights) -> bool:
    return width <= MAX_WIDTH_PRODUCTS and weights >= MIN_WEIGHTS_PRODUCTS


def convolution(x, kernel, strides):
    """3x3 convolution of stride 1 or 2, padded to the same size: (B, H, W, C) -> (B, h, w, F).

    x and kernel (3, 3, C, F) are of one dtype; H and W are known, and multiples of the stride.
    """

    @tf.custom_gradient
    def convolved(x, kernel):
        gap, gap_of_outputs = _gaps(x, kernel, strides)
        joined = _side_by_side(x, gap)
        y = tf.nn.conv2d(joined, kernel, strides, "SAME")
        return (
            _apart(y, gap_of_outputs, _count(x)),
            lambda upstream: _gradients(upstream, x, joined, kernel, strides),
        )

    return convolved(x, tf.convert_to_tensor(kernel))  # a variable's value


def _gradients(upstream, x, joined, kernel, strides):
    """Gradients of x (B, H, W, C) and kernel (3, 3, C, F), from that of the outputs (B, h, w, F).

    `joined` is x with its pictures side by side, or x itself.
    """
    gap, gap_of_outputs = _gaps(x, kernel, strides)
    outputs = _side_by_side(upstream, gap_of_outputs)
    how = {"out_backprop": outputs, "strides": [1, strides, strides, 1], "padding": "SAME"}
    by_x = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(joined), filter=kernel, **how)
    if strides == 1 and _has_products(x.shape[2], _weights(kernel)):
        by_kernel = _products(x, upstream)
    else:
        by_kernel = tf.raw_ops.Conv2DBackpropFilter(input=joined, filter_sizes=kernel.shape, **how)
    return tf.ensure_shape(_apart(by_x, gap, _count(x)), x.shape), by_kernel


def _weights(kernel) -> int:
    """Channels times filters of a kernel (3, 3, C, F)."""
    return kernel.shape[2] * kernel.shape[3]


def _count(x):
    """The number of pictures in x (B, H, W, C), as a tensor where it is not known yet."""
    return x.shape[0] or tf.shape(x)[0]


def _gaps(x, kernel, strides) -> tuple[int, int]:
    """Columns of zeros after each picture of x and of the outputs; 0 leaves pictures separate.

    With stride 2 there are two, so that every picture starts at an even column.
    """
    goes_together = _goes_together(x.shape[2] // strides, _weights(kernel))
    return (strides, 1) if goes_together else (0, 0)


def _side_by_side(maps, gap):
    """(B, h, w, C) -> (B / 16, h, 16 (w + gap), C), B / 16 rounded up; unchanged for a gap of 0.

    The columns of a gap are zeros, and so are the pictures that complete the last sixteen.
    """
    if not gap:
        return maps
    _, h, w, c = maps.shape
    maps = tf.pad(maps, [[0, -_count(maps) % TOGETHER], [0, 0], [0, gap], [0, 0]])
    maps = tf.reshape(maps, [-1, TOGETHER, h, w + gap, c])
    return tf.reshape(tf.transpose(maps, [0, 2, 1, 3, 4]), [-1, h, TOGETHER * (w + gap), c])


def _apart(maps, gap, count):
    """(B / 16, h, 16 (w + gap), C) -> (B, h, w, C), the first `count` pictures: the inverse."""
    if not gap:
        return maps
    _, h, joined, c = maps.shape
    w = joined // TOGETHER
    maps = tf.reshape(maps, [-1, h, TOGETHER, w, c])[:, :, :, : w - gap]
    return tf.reshape(tf.transpose(maps, [0, 2, 1, 3, 4]), [-1, h, w - gap, c])[:count]


def _products(x, upstream):
    """The gradient of a kernel (3, 3, C, F), as one matrix product for each tap.

    x is (B, H, W, C), upstream (B, H, W, F).
    """
    _, height, width, channels = x.shape
    filters = upstream.shape[-1]
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    upstream = tf.reshape(upstream, [-1, filters])  # (B H W, F)
    taps = [
        tf.reshape(padded[:, i : i + height, j : j + width], [-1, channels])  # (B H W, C)
        for i in range(3)
        for j in range(3)
    ]
    gradient = tf.stack([tf.matmul(tap, upstream, transpose_a=True) for tap in taps])
    return tf.reshape(gradient, [3, 3, channels, filters])
