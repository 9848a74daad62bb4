"""Fast TensorFlow paths of the layers, for a CPU; `layers.py` chooses between them and Keras' ops.

A layer that does a few operations a number is bound by memory, not by arithmetic: what counts
is how often the map is read and written. TensorFlow runs each operation by itself, so that
PReLU as Keras spells it passes over the map a dozen times, forward and back. XLA makes one loop
of them: one pass forward, one for both gradients. (Convolutions stay outside: oneDNN's are
twice as fast as XLA's on a CPU.) The normalisation is the kernel that TensorFlow has for it.
"""

from functools import cache


@cache
def prelu():
    """f(x, alpha): x where positive, else alpha x; its gradients take one pass as well.

    x (..., C) and the result are of one dtype; alpha is (C,) or (1,), float32 or x's dtype.
    """
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def forward(x, alpha):
        return tf.where(x > 0, x, tf.cast(alpha, x.dtype) * x)

    @tf.function(jit_compile=True, autograph=False)
    def backward(x, alpha, upstream):
        slope = tf.cast(alpha, x.dtype)
        below = tf.where(x > 0, tf.zeros_like(x), x * upstream)
        below = tf.cast(below, alpha.dtype)  # bfloat16 would lose the sum's small parts
        sums = tf.reduce_sum(below, axis=list(range(x.shape.rank - 1)))  # (C,)
        if alpha.shape == (1,):
            sums = tf.reduce_sum(sums, keepdims=True)
        return tf.where(x > 0, upstream, slope * upstream), sums

    @tf.custom_gradient
    def fast(x, alpha):
        return forward(x, alpha), lambda upstream: backward(x, alpha, upstream)

    return lambda x, alpha: fast(x, tf.convert_to_tensor(alpha))  # a variable's value


def normalize_batch(x, gamma, beta, epsilon):
    """Batch normalisation of x (B, H, W, C) by its own statistics, which are float32.

    Returns (normalised, mean (C,), variance (C,)); the variance is of the batch itself, as
    Keras has it, and not the unbiased estimate that the kernel gives.
    """
    import tensorflow as tf

    normalised, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x), "float32") / x.shape[-1]
    return normalised, mean, variance * (count - 1) / count


def normalize(x, gamma, beta, mean, variance, epsilon):
    """Batch normalisation of x (B, H, W, C) by given statistics (C,), float32."""
    import tensorflow as tf

    normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, mean, variance, epsilon=epsilon, is_training=False
    )
    return normalised
