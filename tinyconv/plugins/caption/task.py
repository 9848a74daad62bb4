"""The task `caption`: a network that looks where it wants and tells what it sees.

Xu et al. 2015, "Show, Attend and Tell" (arXiv 1502.03044). The verbs stand in the order in which
a learner meets them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tinyconv.data import Dataset, selection
from tinyconv.data.image_files import read_pictures
from tinyconv.errors import UserError, nearest
from tinyconv.plugins.caption.settings import Evaluate, Explain, Predict, Settings
from tinyconv.plugins.caption.vocabulary import Vocabulary, split
from tinyconv.results import Evaluation, Picture, Prediction
from tinyconv.tasks import begin

VALIDATED = 500  # pictures that captions are looked for after each epoch


class Caption:
    """Captions by visual attention: a network that looks at what it tells (Xu et al. 2015)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    # Drawn scenes, without files; an epoch of two steps, so that one can be stopped within it.
    small = {"limit": 64, "batch_size": 32, "epochs": 2, "least": 1, "longest": 16}

    def prepare(self, run):
        """The training.Training by the settings, from where the run stands if it has a folder."""
        from tinyconv import precision, training
        from tinyconv.plugins.caption import batches, encoder
        from tinyconv.plugins.caption.inference import Teller

        if Path(run.options.encoder).is_dir():  # found again from any other folder
            encoder_path = str(Path(run.options.encoder).resolve())
            run.options = replace(run.options, encoder=encoder_path)
        dataset, policy, saved = begin(run, _dataset)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        vocabulary = _vocabulary(run, dataset)
        with precision.policy(policy):
            eyes, frozen = encoder.opened(run, train.pictures.shape[1:])
        inputs = _inputs(run, dataset, eyes if frozen else None)
        network = _network(options, eyes, frozen, vocabulary)
        training.describe_model(network)
        training.compile_model(network, options, None, [], saved)
        if run.path is None:
            run.add(words=vocabulary.words, cells=eyes.output.shape[1:3], frozen=frozen)
        teller = Teller(run, network, eyes)
        pairs = batches.Pairs.of(train.targets, vocabulary)
        return training.Training(
            run,
            network,
            options,
            lambda epoch, first: batches.batches(
                pairs, inputs["train"], options.batch_size, frozen, options.seed, epoch, first
            ),
            batches.steps_per_epoch(pairs, options.batch_size, by_length=frozen),
            lambda _: teller.measure(inputs["validation"], validation.targets[:VALIDATED], beam=1),
            rank=lambda metrics: metrics["bleu4"],  # "early stopping on BLEU", section 4.3
            name=f"caption-{dataset.name}",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """BLEU of the best captions of the test pictures, and whether it looks at what it names."""
        from tinyconv.plugins.caption.inference import Teller

        dataset = _dataset(run, options.data, options.root)
        chosen = options.split or ("test" if "test" in dataset.splits else "validation")
        if chosen not in dataset.splits:
            raise UserError(
                f"{dataset.name} has no split {chosen!r}; it has {', '.join(dataset.splits)}."
            )
        examples = dataset.splits[chosen]
        teller = Teller(run)
        seen = teller.see(examples.pictures)
        metrics = teller.measure(seen, examples.targets, options.beam or run.options.beam)
        return Evaluation(metrics, dataset.name, chosen, len(examples.names))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Captions of each picture, the best first; strips of where it looked in the run's folder.

        A strip and a moving picture for each, in captions/.
        """
        from tinyconv.plugins.caption.inference import Teller
        from tinyconv.report import attention
        from tinyconv.system import console

        if not inputs:
            raise UserError("predict needs pictures to tell of: name FILES, or a folder of them.")
        teller = Teller(run)
        shape = tuple(run.settings["picture_shape"])
        may_resize = options.resize or run.settings["resized"]
        folder = run.path / "captions"
        for names, pictures in read_pictures(inputs, shape, may_resize, options.skip_corrupt):
            seen = teller.see(pictures)
            found = teller.tell(seen, options.beam or run.options.beam)
            told = [[teller.vocabulary.decode(each.numbers) for each in best] for best in found]
            maps, looks, _ = teller.look(seen, [best[0] for best in told])
            for i, name in enumerate(names):
                caption = told[i][0]
                words = split(caption)
                drawn = pictures[i], caption, words, maps[i], looks[i], teller.cells
                attention.write(folder, Path(name).stem, *drawn)
                yield Prediction(
                    name,
                    [
                        {"caption": text, "log_probability": each.log_probability}
                        for text, each in zip(told[i], found[i], strict=True)
                    ],
                )
        console.say(f"pictures   of where it looked: {folder}")

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """Where it looks for its own caption of each picture, or as it is made to `say` one."""
        from tinyconv.plugins.caption.inference import Teller
        from tinyconv.report import attention

        if not inputs:
            raise UserError("explain needs pictures to look at: name FILES, or a folder of them.")
        teller, say = Teller(run), options.say
        known = [each for each in teller.vocabulary.words if each.isalpha()]  # no signs
        if say is not None and not split(say):
            raise UserError(f"--caption has no word; {nearest(say, known)}")
        for word in split(say or ""):
            if word not in teller.vocabulary.words:
                raise UserError(f"The network has learnt no word {word!r}; {nearest(word, known)}")
        shape = tuple(run.settings["picture_shape"])
        may_resize = options.resize or run.settings["resized"]
        for names, pictures in read_pictures(inputs, shape, may_resize, False):
            seen = teller.see(pictures)
            told = [say] * len(names) if say else teller.best(seen)
            maps, looks, log_p = teller.look(seen, told)
            for i, name in enumerate(names):
                words = split(told[i])
                drawn = pictures[i], told[i], words, maps[i], looks[i], teller.cells, log_p[i]
                yield attention.strip(Path(name).stem, *drawn)

    def networks(self, run) -> dict:
        """What `export` writes: "begin" once a picture, "step" once a word."""
        from tinyconv.plugins.caption.inference import Teller

        return Teller(run).whole()

    def pictures(self, run) -> Iterator[Picture]:
        """Curves, and the best, usual and worst captions with where it looked."""
        from tinyconv.plugins.caption import figures
        from tinyconv.plugins.caption.inference import Teller

        dataset = _dataset(run)
        yield from figures.curves(run.history)
        name = "test" if "test" in dataset.splits else "validation"
        yield from figures.gallery(Teller(run), dataset.splits[name], name)


def _dataset(run, data=None, root=None) -> Dataset:
    """The run's own data set, or another one with captions at the same size."""
    options = run.options
    if data not in (None, options.data):
        options = replace(options, image_size=run.settings["picture_shape"][0])
    name = data or options.data
    root = root or (options.root if data in (None, options.data) else None)
    if selection.is_folder(run.catalogue, name):
        name, root = "caption-folder", Path(name)
    dataset = selection.open_dataset(run.catalogue, options, name, root)
    targets = dataset.splits["train"].targets
    if not targets or not isinstance(targets[0], dict) or "captions" not in targets[0]:
        raise UserError(
            f"{dataset.name} has no captions to learn; shapes, flickr8k, flickr30k, "
            "coco-captions and caption-folder have."
        )
    return dataset


def _vocabulary(run, dataset: Dataset) -> Vocabulary:
    """The run's own words, or for a new run those that are common in the training captions."""
    words = run.settings.get("words")
    if words is None:
        texts = [text for each in dataset.splits["train"].targets for text in each["captions"]]
        vocabulary = Vocabulary.of(texts, run.options.least, run.options.vocabulary)
    else:
        vocabulary = Vocabulary(tuple(words))
    if not vocabulary.words:
        raise UserError(
            f"No word of the captions of {dataset.name} is met {run.options.least} times; "
            "--min-count 1 learns them all."
        )
    return vocabulary


def _inputs(run, dataset: Dataset, frozen) -> dict:
    """What the network takes, by split: pictures (N, H, W, 3), or maps of a `frozen` encoder.

    Maps are (N, h, w, D), and kept in the cache. All training pictures, and VALIDATED others.
    """
    from tinyconv.plugins.caption import encoder

    inputs = {
        "train": dataset.splits["train"].pictures,
        "validation": dataset.splits["validation"].pictures[:VALIDATED],
    }
    if frozen is None:
        return inputs
    key = [str(dataset.cache), run.options.limit]
    return {
        name: encoder.features(frozen, pictures, f"{dataset.name}-{name}", [*key, name])
        for name, pictures in inputs.items()
    }


def _network(options: Settings, eyes, frozen: bool, vocabulary: Vocabulary):
    """The captioner on top of the encoder `eyes`, or on the maps of one that is kept as it is."""
    from tinyconv.plugins.caption import model

    return model.captioner(
        model.given(eyes.output.shape[1:]) if frozen else eyes,
        len(vocabulary),
        attention=options.attention,
        embedding=options.embedding,
        units=options.units,
        attention_units=options.attention_units,
        dropout=options.dropout,
        penalty=options.penalty,
    )
