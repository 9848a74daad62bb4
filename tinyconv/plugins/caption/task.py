"""The task `caption`: image captioning with visual attention.

Xu et al. 2015, "Show, Attend and Tell" (arXiv 1502.03044). The methods stand in the order in
which a learner meets them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tinyconv.data import Dataset, selection
from tinyconv.data.image_files import read_for
from tinyconv.errors import UserError, nearest
from tinyconv.plugins.caption.settings import Evaluate, Explain, Predict, Settings
from tinyconv.plugins.caption.words import split
from tinyconv.results import Evaluation, Picture, Prediction
from tinyconv.tasks import begin
from tinyconv.text.vocabulary import Vocabulary

VALIDATION_PICTURES = 500  # pictures captioned for validation after each epoch


class Caption:
    """Image captioning: a decoder that attends to the picture before each word (Xu et al. 2015)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    # Drawn scenes, without files; an epoch has two steps, so that a run can stop within it.
    small = {"limit": 64, "batch_size": 32, "epochs": 2, "least": 1, "longest": 16}

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for data without captions, or an encoder that cannot process the pictures.
        """
        from tinyconv import training
        from tinyconv.plugins.caption import batches, encoder
        from tinyconv.plugins.caption.inference import CaptionModel
        from tinyconv.zoo import multiply_adds

        if run.options.encoder is None:
            run.options = replace(run.options, encoder=encoder.choose(run.catalogue))
        elif Path(run.options.encoder).is_dir():  # a full path is valid in any working directory
            encoder_path = str(Path(run.options.encoder).resolve())
            run.options = replace(run.options, encoder=encoder_path)
        dataset, policy, saved = begin(run, _dataset)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        vocabulary = _vocabulary(run, dataset)
        vision, frozen = encoder.open_encoder(run, train.pictures.shape[1:], policy)
        encoder.describe(run, vision, frozen)
        inputs = _inputs(run, dataset, vision if frozen else None)
        network = _network(options, vision, frozen, vocabulary)
        picture, word = network.get_layer("decoder").multiply_adds()
        picture += multiply_adds(vision)
        cost = (
            f"{picture / 1e6:,.1f} million multiply-adds per picture and {word / 1e6:,.2f} per word"
        )
        training.describe_model(network, cost)
        training.compile_model(network, options, None, [], saved)
        if run.path is None:
            run.add(words=vocabulary.words, cells=vision.output.shape[1:3], frozen=frozen)
        model = CaptionModel(run, network, vision)
        pairs = batches.Pairs.from_targets(train.targets, vocabulary)
        return training.Training(
            run,
            network,
            options,
            lambda epoch, first: batches.batches(
                pairs, inputs["train"], options.batch_size, frozen, options.seed, epoch, first
            ),
            batches.steps_per_epoch(pairs, options.batch_size, by_length=frozen),
            lambda _: model.measure(
                inputs["validation"],
                model.best_captions(inputs["validation"], beam=1),
                validation.targets[:VALIDATION_PICTURES],
            ),
            rank=lambda metrics: metrics["bleu4"],  # "early stopping on BLEU", section 4.3
            name=f"caption-{dataset.name}",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """BLEU of the best captions of the test pictures, and the pointing accuracy.

        BLEU is counted with the brevity penalty, as sacreBLEU does, and without it, as in the
        tables of Xu et al. 2015 (`bleu4_unpenalised`).

        Args:
            run: the trained Run.
            options: the data, the split and the beam width.

        Returns:
            The Evaluation.

        Raises:
            UserError: for data without captions, or an unknown split.
        """
        from tinyconv.plugins.caption import attention_metrics, metrics
        from tinyconv.plugins.caption.inference import CaptionModel

        dataset = _dataset(run, options.data, options.root)
        split_name = selection.held_out_split(dataset, options.split)
        examples = dataset.splits[split_name]
        model = CaptionModel(run)
        inputs = model.encode(examples.pictures)
        captions = model.best_captions(inputs, options.beam)
        values = model.measure(inputs, captions, examples.targets)
        references = [target["captions"] for target in examples.targets]
        values |= metrics.bleu(references, captions, penalised=False)
        if options.attention_metrics:
            values |= attention_metrics.measure(model, examples.pictures, run.options.seed)
        return Evaluation(values, dataset.name, split_name, len(examples.names))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Captions of each picture, and figures of the attention in the run's folder captions/.

        Args:
            run: the trained Run.
            inputs: file names.
            options: the beam width, and how pictures of another size are read.

        Yields:
            A Prediction for each file, the best caption first. Its figures are a strip (PNG) and
            an animation (GIF).

        Raises:
            UserError: without files, or for a file that cannot be used.
        """
        from tinyconv.plugins.caption.inference import CaptionModel
        from tinyconv.report import attention
        from tinyconv.system import console

        if not inputs:
            raise UserError("predict needs pictures to caption: name FILES, or a folder of them.")
        model = CaptionModel(run)
        folder = run.path / "captions"
        for names, pictures in read_for(run, inputs, options):
            encoded = model.encode(pictures)
            results = model.search(encoded, options.beam or run.options.beam)
            texts = [[model.vocabulary.decode(one.word_ids) for one in beam] for beam in results]
            weights, samples, _ = model.attend(encoded, [several[0] for several in texts])
            for i, name in enumerate(names):
                caption = texts[i][0]
                words = split(caption)
                parts = pictures[i], caption, words, weights[i], samples[i], model.grid
                attention.write(folder, Path(name).stem, *parts)
                yield Prediction(
                    name,
                    [
                        {"caption": text, "log_probability": each.log_probability}
                        for text, each in zip(texts[i], results[i], strict=True)
                    ],
                )
        console.print_line(f"pictures   saved to {folder}: attention maps for each word")

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """The attention for each word of a picture's caption.

        Args:
            run: the trained Run.
            inputs: file names.
            options: the caption (`say`); None for the network's own.

        Yields:
            A Picture for each file.

        Raises:
            UserError: without files, or for a caption with words outside the vocabulary.
        """
        from tinyconv.plugins.caption.inference import CaptionModel
        from tinyconv.report import attention

        if not inputs:
            raise UserError("explain needs pictures: name FILES, or a folder of them.")
        model, say = CaptionModel(run), options.say
        vocabulary = [each for each in model.vocabulary.words if each.isalpha()]  # no punctuation
        if say is not None and not split(say):
            raise UserError(f"--caption has no word; {nearest(say, vocabulary)}")
        for word in split(say or ""):
            if word not in model.vocabulary.words:
                raise UserError(
                    f"{word!r} is not in the network's vocabulary; {nearest(word, vocabulary)}"
                )
        for names, pictures in read_for(run, inputs, options):
            encoded = model.encode(pictures)
            texts = [say] * len(names) if say else model.best_captions(encoded)
            weights, samples, log_p = model.attend(encoded, texts)
            for i, name in enumerate(names):
                words = split(texts[i])
                parts = pictures[i], texts[i], words, weights[i], samples[i], model.grid
                yield attention.strip(Path(name).stem, *parts, log_p[i].sum())

    def networks(self, run) -> dict:
        """The networks that `export` writes, by name.

        Args:
            run: the trained Run.

        Returns:
            "begin", which runs once per picture, and "step", which runs once per word.
        """
        from tinyconv.plugins.caption.inference import CaptionModel

        return CaptionModel(run).export_networks()

    def pictures(self, run) -> Iterator[Picture]:
        """Curves, and the best, median and worst captions with their attention.

        Args:
            run: the Run.

        Yields:
            The Pictures of its report.
        """
        from tinyconv.plugins.caption import figures
        from tinyconv.plugins.caption.inference import CaptionModel

        dataset = _dataset(run)
        yield from figures.curves(run.history)
        name = selection.held_out_split(dataset, None)
        yield from figures.gallery(CaptionModel(run), dataset.splits[name], name)


def _dataset(run, data=None, root=None) -> Dataset:
    """The run's own data set, or another one with captions, at the same picture size.

    Raises UserError for a data set without captions.
    """
    options = run.options
    if data not in (None, options.data):
        options = replace(options, image_size=run.settings["picture_shape"][0])
    name = data or options.data
    root = root or (options.root if data in (None, options.data) else None)
    if selection.is_folder(run.catalogue, name):
        name, root = "caption-folder", Path(name)
    dataset = selection.open_dataset(run.catalogue, options, name, root)
    if "captions" not in dataset.splits["train"].target_fields:
        raise UserError(
            f"{dataset.name} has no captions; choose shapes, flickr8k, flickr30k, coco-captions "
            "or caption-folder."
        )
    return dataset


def _vocabulary(run, dataset: Dataset) -> Vocabulary:
    """The run's own vocabulary; for a new run the frequent words of the training captions."""
    words = run.settings.get("words")
    if words is None:
        targets = dataset.splits["train"].targets
        captions = [split(text) for each in targets for text in each["captions"]]
        vocabulary = Vocabulary.from_sentences(captions, run.options.least, run.options.vocabulary)
    else:
        vocabulary = Vocabulary(tuple(words))
    if not vocabulary.words:
        raise UserError(
            f"No word occurs {run.options.least} times in the captions of {dataset.name}; "
            "--min-count 1 includes all words."
        )
    return vocabulary


def _inputs(run, dataset: Dataset, frozen) -> dict:
    """The network's inputs, by split: pictures (N, H, W, 3), or maps of a `frozen` encoder.

    The maps are (N, h, w, D) and stored in the cache. "train" holds all training pictures,
    "validation" the first VALIDATION_PICTURES.
    """
    from tinyconv.training.features import features

    inputs = {
        "train": dataset.splits["train"].pictures,
        "validation": dataset.splits["validation"].pictures[:VALIDATION_PICTURES],
    }
    if frozen is None:
        return inputs
    key = [dataset.identity(), run.options.limit]
    return {
        name: features(frozen, pictures, f"{dataset.name}-{name}", [*key, name])
        for name, pictures in inputs.items()
    }


def _network(options: Settings, vision, frozen: bool, vocabulary: Vocabulary):
    """The captioner on top of the encoder `vision`, or on the feature maps of a frozen one."""
    from tinyconv.plugins.caption import encoder, model

    return model.captioner(
        encoder.map_input(vision.output.shape[1:]) if frozen else vision,
        len(vocabulary),
        attention=options.attention,
        embedding=options.embedding,
        units=options.units,
        attention_units=options.attention_units,
        dropout=options.dropout,
        penalty=options.penalty,
    )
