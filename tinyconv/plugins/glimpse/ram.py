"""RAM, the recurrent attention model (Mnih et al. 2014, arXiv 1406.6247), equation by equation.

At each of T glimpses the sensor (`retina.py`) sees patches around a location l_t; a recurrent
network takes them in, names the class and aims the next glimpse (section 3). What it aims at is
the mean of a normal distribution, and the location is a sample of it. A sample has no gradient:
the location is learnt by REINFORCE, from whether the class was right in the end (section 4). The
gradient of REINFORCE goes on into the core, which would otherwise keep what separates classes and
forget where things are; that of the class never goes through a location. Axes: B pictures, T
glimpses, n units.

Everything random comes from outside, as `looks` (B, T, 2): the first location, and for each later
one how far from its mean the sample lies, in standard deviations. Zeros give the means themselves:
the deterministic path. For policies that are not learnt `looks` are the locations themselves.

Deviations from the paper: the class is learnt after every glimpse (`every`; the paper's is the
last one alone); the reward of a location is the probability of the class after its own glimpse
(`reward`; the paper gives all locations 1 for a right answer at the end); f_l has a hidden layer
and ends in tanh; AdamW in place of SGD.
"""

import math

import keras
from keras import ops

from tinyconv.plugins.glimpse.retina import WithRetina, multiply_adds, retina

LEARNED = "learned"


def log_density(sample, mean, deviation):
    """ln of the density of a normal distribution, the sum over the last axis.

    Args:
        sample, mean: (..., 2).
        deviation: the standard deviation in each direction.
    """
    squares = ops.sum(ops.square((sample - mean) / deviation), axis=-1)
    return -squares / 2 - 2 * math.log(deviation * math.sqrt(2 * math.pi))


def path(network, pictures, looks) -> tuple[list, dict]:
    """Look at pictures T times: the loop of section 3, for any network of four methods.

    Args:
        network: a layer with `begin(pictures)`, which returns the first states; `aim(states)`, the
            mean of the next location; `value(states)`, the expected reward; and
            `look(pictures, location, states)`, which returns the next states. `aims_first` is
            whether it chooses the first location, too.
        pictures: (B, H, W, C), pixel values 0 to 255.
        looks: (B, T, 2), as the module says.

    Returns:
        A list with the states after each glimpse, and a dict of tensors (B, T, ...): "locations",
        "aims", their means, "log_pi", the ln of the density of each sample, and "values", the
        reward that was expected before it.
    """
    states, count, before, after = network.begin(pictures), looks.shape[1], [], []
    first = count  # of those that it aims
    if network.policy == LEARNED:
        first = 0 if network.aims_first else 1
    locations, means, samples = [], [], []
    for t in range(count):
        location = mean = looks[:, t]
        if t >= first:
            mean = network.aim(states)
            # Where to look next is learnt by REINFORCE alone: no gradient through the sample.
            samples.append(ops.stop_gradient(mean + network.deviation * location))
            before.append(states)
            location = ops.clip(samples[-1], -1, 1)
        states = network.look(pictures, location, states)
        after.append(states)
        locations.append(location)
        means.append(mean)
    rows = {"locations": ops.stack(locations, axis=1), "aims": ops.stack(means, axis=1)}
    rows["log_pi"] = rows["values"] = ops.zeros_like(rows["aims"][..., 0])
    if samples:  # their density is that from before they are clipped
        sampled = ops.stack(samples, axis=1)
        log_pi = log_density(sampled, rows["aims"][:, first:], network.deviation)
        values, none = at_once(network.value, before), ((0, 0), (first, 0))
        rows |= {"log_pi": ops.pad(log_pi, none), "values": ops.pad(values, none)}
    return after, rows


def at_once(function, several: list[tuple]):
    """A function of states (B, n) after several glimpses, in one product: (B, T, ...)."""
    rows = [ops.reshape(ops.stack(each, axis=1), (-1, each[0].shape[-1])) for each in zip(*several)]
    results = function(rows)
    return ops.reshape(results, (-1, len(several), *results.shape[1:]))


def reinforce(log_pi, values, rewards):
    """The loss whose gradient is that of equation 3, and the loss of the baseline.

    Equation 3: the mean over pictures of sum_t grad ln pi(u_t) (R_t - b_t). Where nothing was
    sampled `log_pi` and `values` are constants.

    Args:
        log_pi: (B, T), ln pi of each location.
        values: (B, T), b_t, the expected reward.
        rewards: (B, T), R_t, or (B, 1) for one reward at the end.

    Returns:
        (the loss of the policy, the squared error of the baseline), each the mean over pictures.
    """
    advantage = ops.stop_gradient(rewards - values)
    policy = -ops.mean(ops.sum(log_pi * advantage, axis=1))
    baseline = ops.mean(ops.sum(ops.square(values - ops.stop_gradient(rewards)), axis=1))
    return policy, baseline


@keras.saving.register_keras_serializable("tinyconv")
class Ram(WithRetina, keras.layers.Layer):
    """The recurrent attention model.

    Args:
        classes: the number of classes.
        size: the values of a patch in each direction.
        scales: the number of patches of a glimpse.
        policy: "learned", or any other name for locations that come from outside.
        deviation: the standard deviation of a sampled location; the picture is 2 wide.
        sensor_units: the units of h_g and of h_l (paper: 128).
        glimpse_units: the units of g (paper: 256).
        units: the units of the core, n (paper: 256).
        aim_units: the hidden units of the location network; 0 for the paper's linear one.
        every: whether the class is learnt after every glimpse, or after the last one alone.
        reward: "each", the probability of the class after each glimpse, or "last", 1 for a right
            answer after the last one, as in the paper.

    Args of the call:
        pictures: (B, H, W, C) uint8.
        looks: (B, T, 2) float32.

    Returns:
        {"scores": (B, T, classes), the scores (logits) after each glimpse, and the dict of `path`},
        float32.
    """

    objects, aims_first = 1, False

    def __init__(
        self,
        classes,
        size=8,
        scales=3,
        policy=LEARNED,
        deviation=0.15,
        sensor_units=96,
        glimpse_units=128,
        units=128,
        aim_units=64,
        every=True,
        reward="each",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classes, self.size, self.scales = classes, size, scales
        self.policy, self.deviation = policy, deviation
        self.sensor_units, self.glimpse_units = sensor_units, glimpse_units
        self.units, self.aim_units, self.every = units, aim_units, every
        self.reward = reward

        def linear(units, name, activation=None, start="glorot_uniform"):
            return keras.layers.Dense(
                units, activation, name=name, kernel_initializer=start, dtype=self.dtype_policy
            )

        self.what = linear(sensor_units, "what", "relu")
        self.where = linear(sensor_units, "where", "relu")
        self.what_to_g, self.where_to_g = linear(glimpse_units, "g"), linear(glimpse_units, "g_l")
        self.core = linear(units, "core", start="identity")
        self.g_to_core = linear(units, "core_g")
        self.action = linear(classes, "action")
        self.aim_hidden = linear(aim_units, "aim_hidden", "relu") if aim_units else None
        small = keras.initializers.RandomNormal(stddev=0.01)  # the first aims are in the middle
        self.aim_mean = linear(2, "aim", "tanh", small)
        self.baseline = linear(1, "baseline")

    def build(self, pictures_shape, looks_shape):
        n = self.units
        self.what.build((None, self.scales * self.size**2 * pictures_shape[-1]))
        self.where.build((None, 2))
        self.what_to_g.build((None, self.sensor_units))
        self.where_to_g.build((None, self.sensor_units))
        self.g_to_core.build((None, self.glimpse_units))
        if self.aim_hidden is not None:
            self.aim_hidden.build((None, n))
        self.aim_mean.build((None, self.aim_units or n))
        for layer in (self.core, self.action, self.baseline):
            layer.build((None, n))
        if self.policy != LEARNED or looks_shape[1] == 1:  # no location is its own
            for layer in (self.aim_hidden, self.aim_mean, self.baseline):
                if layer is not None:
                    layer.trainable = False

    def begin(self, pictures):
        """(h_0 (B, n),), zeros."""
        return (ops.zeros((ops.shape(pictures)[0], self.units)),)

    def look(self, pictures, location, states):
        """(h_t,) from a glimpse at `location` (B, 2) and (h_{t-1},): sections 3 and 4."""
        patches = retina(pictures, location, self.size, self.scales)  # rho(x, l)
        rho = ops.reshape(patches, (-1, self.what.kernel.shape[0]))
        h_g, h_l = self.what(rho), self.where(location)
        g = ops.relu(self.what_to_g(h_g) + self.where_to_g(h_l))  # f_g
        return (ops.relu(self.core(states[0]) + self.g_to_core(g)),)  # f_h

    def act(self, states):
        """Scores (logits) (B, classes) of f_a."""
        return self.action(states[0])

    def aim(self, states):
        """The mean of the next location (B, 2), of f_l."""
        h = states[0]
        return self.aim_mean(h if self.aim_hidden is None else self.aim_hidden(h))

    def value(self, states):
        """b_t (B,), the expected reward; its error does not reach the core."""
        return self.baseline(ops.stop_gradient(states[0]))[:, 0]

    def call(self, pictures, looks):
        after, rows = path(self, pictures, looks)
        return {"scores": at_once(self.act, after), **rows}

    def compute_output_spec(self, pictures, looks):
        B, T = looks.shape[:2]
        shapes = {"scores": (B, T, self.classes), "locations": (B, T, 2)}
        shapes |= {"aims": (B, T, 2), "log_pi": (B, T), "values": (B, T)}
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def multiply_adds(self, glimpses: int, channels: int = 1) -> int:
        """The multiply-adds of the matrix products for a picture, without those of training."""
        of_layers = (self.what, self.where, self.what_to_g, self.where_to_g, self.core)
        of_layers += (self.g_to_core, self.action)
        if self.policy == LEARNED:
            of_layers += (self.aim_mean, *([self.aim_hidden] if self.aim_hidden else ()))
        each = sum(math.prod(layer.kernel.shape) for layer in of_layers)
        return glimpses * (each + multiply_adds(self.size, self.scales, channels))

    def get_config(self):
        names = ("classes", "size", "scales", "policy", "deviation", "sensor_units")
        names += ("glimpse_units", "units", "aim_units", "every", "reward")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tinyconv")
class RamNetwork(keras.Model):
    """{"pictures", "looks"} -> `Ram`'s dict, and the hybrid loss of section 4.

    The reported loss is the cross-entropy after the last glimpse; the total is that of equation 3
    with it.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.last_loss = keras.metrics.Mean("loss")
        self.errors = keras.metrics.Mean("error")

    def get_metrics_result(self):
        """The means over the batches so far."""
        return {"loss": self.last_loss.result(), "error": self.errors.result()}

    def classified(self, labels, scores):
        """The cross-entropy (B, T) after each glimpse, and 1 for a right last answer (B,)."""
        repeated = ops.broadcast_to(labels[:, None], ops.shape(scores)[:2])
        losses = ops.sparse_categorical_crossentropy(repeated, scores, from_logits=True)  # (B, T)
        right = ops.equal(ops.cast(ops.argmax(scores[:, -1], axis=-1), labels.dtype), labels)
        reward = ops.cast(right, "float32")
        self.last_loss.update_state(losses[:, -1])
        self.errors.update_state(1 - reward)
        return losses, reward

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of `y`, {"labels": (B,) int32}."""
        losses, reward = self.classified(y["labels"], y_pred["scores"])
        layer = self.get_layer("path")
        rewards = reward[:, None] if layer.reward == "last" else ops.exp(-losses)  # R_t
        policy, baseline = reinforce(y_pred["log_pi"], y_pred["values"], rewards)
        return ops.mean(losses if layer.every else losses[:, -1]) + policy + baseline


def ram(channels: int, classes: int, glimpses: int, **sizes) -> RamNetwork:
    """The network for pictures of 1 channel (grey) or 3; `sizes` are arguments of `Ram`."""
    inputs = {
        "pictures": keras.Input((None, None, channels), dtype="uint8", name="pictures"),
        "looks": keras.Input((glimpses, 2), name="looks"),
    }
    layer = Ram(classes, name="path", dtype="float32", **sizes)
    outputs = layer(inputs["pictures"], inputs["looks"])
    return RamNetwork(inputs, outputs, name="ram")
