"""Writes a tiny .keras file for each class of tinyconv that files name, and its outputs.

The files beside this were written by version 0.1.0, and what users have saved is like them: a file
stays as it is for as long as its class does. `python -m tests.saved.write` writes those alone that
are missing, and their answers into answers.json.
"""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
ANSWERS = HERE / "answers.json"
OPTIMIZERS = ("AdamW", "SGD")
LOSSES = ("CopyLoss", "DistanceIoU", "MulticlassHinge", "SoftmaxCrossEntropy")
COMPILED = (*OPTIMIZERS, *LOSSES)  # opened with their optimizer and loss


def models() -> dict:
    """A small network for each class, by the registered name of the class."""
    from tinyconv import layers, losses
    from tinyconv.plugins.caption import beam_search
    from tinyconv.plugins.caption import model as caption
    from tinyconv.plugins.draw import draw, one_step, vae
    from tinyconv.plugins.glimpse import dram, draw_reader, one_glimpse, ram, whole_picture
    from tinyconv.plugins.language.sentences import (
        compositions,
        memory_network,
        sentence_networks,
    )
    from tinyconv.plugins.language.text import copying, language_model
    from tinyconv.plugins.language.words import embeddings
    from tinyconv.plugins.translate import decoding, rnnsearch
    from tinyconv.training import optimizers
    from tinyconv.zoo.rectifier import SpatialPyramidPooling
    from tinyconv.zoo.resnet_small import PaddedShortcut
    from tinyconv.zoo.sprint import PartialIdentity, Whitening

    def of(layer, shape=(5, 5, 2)):
        inputs = keras.Input(shape)
        return keras.Model(inputs, layer(inputs))

    def compiled(optimizer="sgd", loss="mse", units=4):
        model = of(keras.layers.Dense(units, name="scores"), shape=(3,))
        model.compile(optimizer=optimizer, loss=loss)
        return model

    inputs = keras.Input((5, 5, 2))
    added = layers.Add(name="sum")([inputs, keras.layers.Rescaling(2.0)(inputs)])
    pictures = keras.Input((5, 5, 2), name="pictures")
    eyes = keras.Model(pictures, keras.layers.Conv2D(3, 3)(pictures))
    captioner = caption.captioner(eyes, 7, embedding=4, units=4, attention_units=3, dropout=0.5)
    parts = beam_search.networks(captioner)
    maps = keras.Input((2, 2, 3))
    translator = rnnsearch.translator(7, 7, 3, embedding=3, alignment_units=2, maxout=2)
    translator_parts = decoding.networks(translator)
    counts = np.arange(8, 0, -1)
    predictor = embeddings.predictor(counts, 3, 2, window=2)
    glove = embeddings.glove(8, 3, 100.0, 0.75)
    drawer = draw.draw((4, 4, 1), 2, units=3, latent=2, read_size=2, write_size=2)
    drawer_parts = one_step.networks(drawer)
    autoencoder = vae.vae((4, 4, 1), units=3, latent=2)
    autoencoder_parts = one_step.networks(autoencoder)
    sizes = {"size": 2, "scales": 1, "units": 3}
    looker = ram.ram(1, 3, 2, sensor_units=2, glimpse_units=2, aim_units=2, **sizes)
    reader = dram.dram(1, 3, 2, 1, filters=1, **sizes)
    looker_parts = one_glimpse.networks(looker)
    carrying = language_model.network(7, 3, 4, "ntm", 2, embedding=2, slots=3, width=2)
    text_reader = language_model.Reader(carrying)
    window_reader = draw_reader.draw_reader((4, 4, 1), 3, 2, size=2, units=3)
    return {
        "PReLU": of(layers.PReLU(shared=True, initial_slope=0.5), shape=(3,)),
        "Conv2D": of(layers.Conv2D(2, 3, strides=2, padding="same")),
        "BatchNormalization": of(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)),
        "Add": keras.Model(inputs, added),
        "SimpleRNN": of(layers.SimpleRNN(3), shape=(4, 2)),
        "LSTM": of(layers.LSTM(3, return_sequences=True), shape=(4, 2)),
        "GRU": of(layers.GRU(3, reset_after=False), shape=(4, 2)),
        "Corners": of(layers.Corners(), shape=(4,)),
        "PaddedShortcut": of(PaddedShortcut(4, strides=2)),
        "Whitening": of(Whitening(strides=2), shape=(5, 5, 1)),
        "PartialIdentity": of(
            keras.layers.Conv2D(3, 3, kernel_initializer=PartialIdentity("relu"), name="noise")
        ),
        "SpatialPyramidPooling": of(SpatialPyramidPooling(levels=(2, 1))),
        "SGD": compiled(optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
        "AdamW": compiled(optimizers.AdamW(0.1, weight_decay=0.01)),
        "SoftmaxCrossEntropy": compiled(loss=losses.SoftmaxCrossEntropy(0.2)),
        "MulticlassHinge": compiled(loss=losses.MulticlassHinge()),
        "DistanceIoU": compiled(loss=losses.DistanceIoU()),
        "Annotations": keras.Model(maps, caption.Annotations()(maps)),
        "Decoder": captioner,
        "Captioner": captioner,
        "Begin": parts["begin"],
        "Step": parts["step"],
        "SourceEncoder": translator,
        "AligningDecoder": translator,
        "Translator": translator,
        "SentenceBegin": translator_parts["begin"],
        "WordStep": translator_parts["step"],
        "WordVectors": embeddings.table(np.ones((8, 3), "float32"), "vectors"),
        "NegativeSampling": predictor,
        "ContextPredictor": predictor,
        "CountScore": glove,
        "GloVe": glove,
        "DrawPath": drawer,
        "DrawNetwork": drawer,
        "VaePath": autoencoder,
        "FirstCanvas": drawer_parts["begin"],
        "DrawingStep": drawer_parts["draw"],
        "InferenceStep": drawer_parts["infer"],
        "LatentEncoder": autoencoder_parts["encode"],
        "LatentDecoder": autoencoder_parts["decode"],
        "Ram": looker,
        "RamNetwork": looker,
        "Dram": reader,
        "DramNetwork": reader,
        "DrawReader": window_reader,
        "DrawReaderNetwork": window_reader,
        "ConvNet": whole_picture.convnet((12, 12, 1), 3, units=3, filters=2),
        "FirstStates": looker_parts["begin"],
        "OneGlimpse": looker_parts["glimpse"],
        "CarriedState": carrying,
        "TuringCell": carrying,
        "NegativeLogLikelihood": text_reader.model,
        "Recursive": compositions.network("recursive", 7, 3, 5),
        "NeuralTensor": compositions.network("rntn", 7, 3, 5),
        "TreeLSTM": compositions.network("tree-lstm", 7, 3, 5),
        "Filters": sentence_networks.network("cnn", 7, 3, 5),
        "MemoryNetwork": memory_network.network(8, 6, 4, 3, 2),
        "CopyLoss": compiled(loss=copying.CopyLoss()),
    }


def answer(name: str, model) -> list[float]:
    """The network's outputs, its loss, or its outputs after a training step."""
    random = np.random.default_rng(0)

    def example(tensor):
        shape = [3, *(4 if n is None else n for n in tensor.shape[1:])]
        if tensor.dtype == "uint8":
            return random.integers(0, 256, shape).astype("uint8")
        if tensor.dtype == "int32":
            return random.integers(1, 7, shape).astype("int32")
        return random.uniform(-1, 1, shape).astype("float32")

    inputs = keras.tree.map_structure(example, model.input)
    if name in OPTIMIZERS:
        model.train_on_batch(inputs, np.ones((3, 4), "float32"))
    outputs = model.predict_on_batch(inputs)
    if name in ("SoftmaxCrossEntropy", "MulticlassHinge"):
        outputs = model.loss(np.array([0, 1, 2]), outputs)
    if name == "CopyLoss":
        outputs = model.loss(np.array([[0, 1, -1, 1]] * 3, "float32"), outputs)
    if name == "DistanceIoU":
        corners = np.array([[0.1, 0.2, 0.7, 0.9]] * 3, "float32")
        outputs = model.loss(corners, corners + np.abs(outputs) / 9)
    flat = [keras.ops.convert_to_numpy(each).ravel() for each in keras.tree.flatten(outputs)]
    return np.concatenate(flat).astype(float).tolist()


def deflate(path: Path) -> None:
    """Compress the members, which Keras only stores; this saves nine tenths of so small a file."""
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for info, content in members.items():
            archive.writestr(info.filename, content)


def main() -> None:
    """Write the files that are missing."""
    answers = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(1)
    for name, model in models().items():
        path = HERE / f"{name}.keras"
        if path.exists():
            continue
        for weight in model.weights:
            if weight.dtype == "float32":  # no statistic, such as a variance, is below zero
                weight.assign(random.uniform(0.1, 1, weight.shape))
        if name in OPTIMIZERS:
            answer(name, model)  # one step, so that the optimizer has a state
        model.save(path)
        deflate(path)
        answers[name] = [round(number, 6) for number in answer(name, model)]
    lines = [f"{json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in answers.items()]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
