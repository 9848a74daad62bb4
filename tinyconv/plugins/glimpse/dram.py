"""DRAM, the deep recurrent attention model (Ba, Mnih and Kavukcuoglu 2015, arXiv 1412.7755).

It reads several objects in a row and then says that there are no more (section 3). Two recurrent
layers lie on each other: the first, r1, takes in glimpses and names objects; the second, r2, aims
the glimpses. A coarse picture, the context, sets the first state of r2 alone: it shows where to
look, and what is there can only be learnt by looking. Axes: B pictures, S objects of at most N
glimpses each, T = S N glimpses, n units. `looks` are as in `ram.py`, but the first location is
aimed, too.

Deviations from the paper: two layers of rectifiers see a glimpse, where the paper has three
convolutions; the product's gate starts at 1, since rectifiers that start at 0 would silence half
of its units; AdamW in place of SGD.
"""

import math

import keras
from keras import ops

from tinyconv.plugins.glimpse.ram import LEARNED, at_once, path, reinforce
from tinyconv.plugins.glimpse.retina import WithRetina, coarse, multiply_adds, retina

COARSE = 15  # values of the context's picture in each direction
NONE = -1  # a target after the last one


@keras.saving.register_keras_serializable("tinyconv")
class Dram(WithRetina, keras.layers.Layer):
    """The deep recurrent attention model.

    Args:
        symbols: the number of symbols; for numbers, those of the digits and of the end.
        objects: the most objects in a row, S; the end is one.
        size: the values of a patch in each direction.
        scales: the number of patches of a glimpse.
        policy: "learned", or any other name for locations that come from outside.
        deviation: the standard deviation of a sampled location; the picture is 2 wide.
        units: the units of each recurrent layer, n (paper: 512).
        context: whether the coarse picture starts r2; zeros do otherwise.
        filters: of each convolution of the context network.

    Args of the call:
        pictures: (B, H, W, C) uint8.
        looks: (B, T, 2) float32.

    Returns:
        {"scores": (B, S, symbols), the scores (logits) of each object; "locations" (B, T, 2);
        "aims" (B, T, 2), the means of the locations; "log_pi", "values" (B, T)}, float32.
    """

    aims_first = True

    def __init__(
        self,
        symbols,
        objects,
        size=12,
        scales=2,
        policy=LEARNED,
        deviation=0.12,
        units=128,
        context=True,
        filters=16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.symbols, self.objects, self.units = symbols, objects, units
        self.size, self.scales, self.policy, self.deviation = size, scales, policy, deviation
        self.context, self.filters = context, filters

        def linear(units, name, activation="relu", **more):
            return keras.layers.Dense(units, activation, name=name, dtype=self.dtype_policy, **more)

        self.what = [linear(units, "what"), linear(units, "what_2")]
        self.where = linear(units, "where", bias_initializer="ones")
        self.r1 = keras.layers.LSTMCell(units, name="r1", dtype=self.dtype_policy)
        self.r2 = keras.layers.LSTMCell(units, name="r2", dtype=self.dtype_policy)
        self.symbol = [linear(units, "symbol_hidden"), linear(symbols, "symbol", None)]
        small = keras.initializers.RandomNormal(stddev=0.01)  # the first aims are in the middle
        self.aim_mean = linear(2, "aim", "tanh", kernel_initializer=small)
        self.baseline = [linear(units, "baseline_hidden"), linear(1, "baseline", None)]
        how = {"activation": "relu", "padding": "same", "dtype": self.dtype_policy}
        self.maps = [
            keras.layers.Conv2D(filters, 3, name="context_1", **how),
            keras.layers.Conv2D(filters, 3, strides=2, name="context_2", **how),
        ]
        self.start = linear(units, "context", "tanh")

    def build(self, pictures_shape, looks_shape):
        n, channels = self.units, pictures_shape[-1]
        sensor = self.scales * self.size**2 * channels
        for layer, inputs in zip(self.what, (sensor, n)):
            layer.build((None, inputs))
        self.where.build((None, 2))
        for layer in (self.r1, self.r2, self.symbol[0], self.symbol[1], self.aim_mean):
            layer.build((None, n))
        for layer, inputs in zip(self.baseline, (n, n)):
            layer.build((None, inputs))
        for layer, inputs in zip(self.maps, (channels, self.filters)):
            layer.build((None, COARSE, COARSE, inputs))
            layer.trainable = self.context
        self.start.trainable = self.context
        self.start.build((None, self.filters * math.ceil(COARSE / 2) ** 2))
        self.r2.trainable = looks_shape[1] > 1  # it aims the second glimpse and later ones
        if self.policy != LEARNED:  # no location is its own
            for layer in (self.r2, self.aim_mean, *self.baseline, *self.maps, self.start):
                layer.trainable = False

    def begin(self, pictures):
        """(h1, c1, h2, c2), each (B, n): zeros, but for h2, which the context network sets."""
        zeros = ops.zeros((ops.shape(pictures)[0], self.units))
        if not self.context:
            return zeros, zeros, zeros, zeros
        maps = coarse(pictures, COARSE)
        for layer in self.maps:
            maps = layer(maps)
        flat = ops.reshape(maps, (-1, math.prod(maps.shape[1:])))
        return zeros, zeros, self.start(flat), zeros

    def look(self, pictures, location, states):
        """The next states, from a glimpse at `location` (B, 2) and the last ones."""
        h1, c1, h2, c2 = states
        patches = retina(pictures, location, self.size, self.scales)
        rho = ops.reshape(patches, (-1, self.what[0].kernel.shape[0]))
        g = self.what[1](self.what[0](rho)) * self.where(location)  # G_image * G_loc
        _, (h1, c1) = self.r1(g, [h1, c1])
        _, (h2, c2) = self.r2(h1, [h2, c2])
        return h1, c1, h2, c2

    def act(self, states):
        """Scores (logits) (B, symbols), from r1."""
        return self.symbol[1](self.symbol[0](states[0]))

    def aim(self, states):
        """The mean of the next location (B, 2), from r2."""
        return self.aim_mean(states[2])

    def value(self, states):
        """The expected reward (B,), from r2; its error does not reach the core."""
        return self.baseline[1](self.baseline[0](ops.stop_gradient(states[2])))[:, 0]

    def call(self, pictures, looks):
        after, rows = path(self, pictures, looks)
        each = looks.shape[1] // self.objects
        return {"scores": at_once(self.act, after[each - 1 :: each]), **rows}

    def compute_output_spec(self, pictures, looks):
        B, T = looks.shape[:2]
        shapes = {"scores": (B, self.objects, self.symbols), "locations": (B, T, 2)}
        shapes |= {"aims": (B, T, 2), "log_pi": (B, T), "values": (B, T)}
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def multiply_adds(self, glimpses: int, channels: int = 1) -> int:
        """The multiply-adds of the matrix products for a picture, without the context network."""
        dense = (*self.what, self.where, *self.symbol, self.aim_mean)
        each = sum(math.prod(layer.kernel.shape) for layer in dense)
        each += 2 * 8 * self.units**2  # two LSTM cells
        return glimpses * (each + multiply_adds(self.size, self.scales, channels))

    def get_config(self):
        names = ("symbols", "objects", "size", "scales", "policy", "deviation", "units", "context")
        names += ("filters",)
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tinyconv")
class DramNetwork(keras.Model):
    """{"pictures", "looks"} -> `Dram`'s dict, and its loss (section 3.1).

    The reward of an object is 1 if it and all before it are right, and R_s the sum of the rewards
    from object s on. Objects after the first wrong one have no gradient, which the paper calls
    crucial.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.first_loss = keras.metrics.Mean("loss")
        self.errors = keras.metrics.Mean("sequence_error")

    def get_metrics_result(self):
        """The means over the batches so far."""
        return {"loss": self.first_loss.result(), "sequence_error": self.errors.result()}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of `y`.

        Its "symbols" (B, S) are int32, NONE after the end; "aims" (B, T, 2) say where each glimpse
        should go, where "is_placed" (B, T) is 1.
        """
        scores, symbols = y_pred["scores"], y["symbols"]
        there = ops.cast(symbols != NONE, "float32")  # (B, S)
        losses = ops.sparse_categorical_crossentropy(
            ops.maximum(symbols, 0), scores, from_logits=True
        )
        best = ops.cast(ops.argmax(scores, axis=-1), symbols.dtype)
        right = ops.where(symbols != NONE, ops.cast(best == symbols, "float32"), 1.0)
        so_far = ops.cumprod(right, axis=1)  # 1 until the first wrong one
        before = ops.concatenate([ops.ones_like(so_far[:, :1]), so_far[:, :-1]], axis=1)
        credit = there * before
        self.first_loss.update_state(ops.sum(losses * there) / ops.sum(there))
        self.errors.update_state(1 - so_far[:, -1])
        rewards = ops.flip(ops.cumsum(ops.flip(so_far * there, axis=1), axis=1), axis=1)
        each = y_pred["log_pi"].shape[1] // symbols.shape[1]
        rewards, of_glimpse = (ops.repeat(one, each, axis=1) for one in (rewards, credit))
        policy, baseline = reinforce(
            y_pred["log_pi"] * of_glimpse, y_pred["values"] * of_glimpse, rewards * of_glimpse
        )
        loss = ops.mean(ops.sum(losses * credit, axis=1)) + policy + baseline
        placed = y["is_placed"] * of_glimpse
        distance = ops.sum(ops.square(y_pred["aims"] - y["aims"]), axis=-1)
        return loss + ops.mean(ops.sum(placed * distance, axis=1))


def dram(channels: int, symbols: int, objects: int, glimpses: int, **sizes) -> DramNetwork:
    """The network for pictures of 1 channel (grey) or 3; `sizes` are arguments of `Dram`.

    `glimpses` is the number for each object.
    """
    inputs = {
        "pictures": keras.Input((None, None, channels), dtype="uint8", name="pictures"),
        "looks": keras.Input((objects * glimpses, 2), name="looks"),
    }
    layer = Dram(symbols, objects, name="path", dtype="float32", **sizes)
    return DramNetwork(inputs, layer(inputs["pictures"], inputs["looks"]), name="dram")
