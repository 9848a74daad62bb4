"""Every model, data set and task of tinyconv keeps the promises that it requires of plugins."""

import importlib.util

import pytest

from tests.helpers.small import KINDS
from tests.helpers.sources import SOURCES
from tinyconv import checks
from tinyconv.checks import (
    datasets,
    model_arguments,
    models,
    task_answers,
    task_batches,
    task_elsewhere,
    tasks,
)
from tinyconv.checks.subject import Subject
from tinyconv.plugins.caption import scenes
from tinyconv.registry.entry_points import installed
from tinyconv.system.private import graphs_released
from tinyconv.zoo.small_sizes import SMALL

pytestmark = pytest.mark.usefixtures("few_scenes")
SHIPPED = [entry for entry in installed() if entry.distribution == "tinyconv"]
MODELS = [entry for entry in SHIPPED if entry.kind == "models"]

# Promises of a network of a hundred layers take up to 20 seconds each, and all but the variance
# depend on its kind of block alone: `tox -e slow` tests them for networks that differ from one of
# KINDS in depth.
OF_EVERY_DEPTH = (models.keeps_the_variance,)
# Counted in tests/zoo, without drawing up to 178 million random weights.
COUNTED = model_arguments.states_its_size
DEEPER = {*SMALL, "efficientnet-lite1", "efficientnet-lite2"} - {*KINDS}
# Of Keras' own networks what the package adds is tested, and of one everything.
OF_KERAS = {
    entry.name for entry in MODELS if entry.target.startswith("tinyconv.plugins.photographs.app")
}
TESTED_OF_KERAS = "MobileNetV2"
OURS_OF_KERAS = (
    models.builds_at_several_sizes,
    models.gives_as_many_scores_as_classes,
    models.gives_scores_not_probabilities,
)
# One task with the loop of tinyconv.training, `classify`, is enough to test that loop; the rest are
# the promises that take longest for captions, and one of resnet50, whose training step takes ten
# seconds to trace; tests/test_on_any_backend.py takes such a step.
LONG = {
    "resnet50": (models.learns_eight_pictures_by_heart,),
    "localise": (tasks.resumes_within_an_epoch, task_answers.answers_its_examples),
    "caption": (
        tasks.resumes_within_an_epoch,
        task_answers.predicts_from_any_file,
        task_answers.predicts_each_by_itself,
        task_batches.heeds_its_settings,
    ),
    "draw": (tasks.resumes_within_an_epoch,),
    "sentences": (tasks.resumes_within_an_epoch, task_answers.answers_its_examples),
    "text": (tasks.resumes_within_an_epoch, task_answers.answers_its_examples),
    "translate": (
        tasks.resumes_within_an_epoch,
        task_answers.answers_its_examples,
        task_batches.heeds_its_settings,
    ),
}

# Drawn by what draws cluttered-digits and number-digits: 4 seconds each.
SIMILAR_CANVASES = (
    "number-digits-2",
    "cluttered-mnist",
    "cluttered-mnist-100",
    "translated-mnist",
    "translated-mnist-100",
    "mnist-pairs",
    "mnist-addition",
)

ELSEWHERE = (models.saves_and_loads, task_elsewhere.answers_in_another_process)  # one process each

# One of them trains the run whose report is looked at.
REPORTED = (tasks.fits_and_measures, tasks.prints_nothing, tasks.draws_pictures)
# The promises of a task share its trainings, which another worker would have to repeat; each of two
# workers has half of the tasks.
TASKS = sorted(entry.name for entry in SHIPPED if entry.kind == "tasks")
HALVES = TASKS[: len(TASKS) // 2], TASKS[len(TASKS) // 2 :]
TOGETHER = {name: pytest.mark.xdist_group(half[0]) for half in HALVES for name in half}

needs_tf_agents = pytest.mark.skipif(
    importlib.util.find_spec("tf_agents") is None, reason="tf-agents is not installed (extra dqn)"
)


CHECKS = {entry.full_name: checks.of(entry.full_name) for entry in SHIPPED}


def cases():
    """Every promise of every shipped model and task, except those of another process."""
    for entry in SHIPPED:
        for check in CHECKS[entry.full_name] if entry.kind != "datasets" else ():
            is_another = entry.name in OF_KERAS - {TESTED_OF_KERAS}
            is_ours = check.promise in OURS_OF_KERAS
            if check.promise in ELSEWHERE or (is_another and not is_ours):
                continue
            marks = [needs_tf_agents] if entry.name == "dqn" else []
            marks += [TOGETHER[entry.name]] if entry.kind == "tasks" else []
            marks += [pytest.mark.pages] if check.promise in REPORTED else []
            if is_another or (entry.name == TESTED_OF_KERAS and not is_ours):
                marks.append(pytest.mark.slow)
            if entry.name in DEEPER and check.promise not in OF_EVERY_DEPTH:
                marks.append(pytest.mark.slow)
            if check.promise is COUNTED or check.promise in LONG.get(entry.name, ()):
                marks.append(pytest.mark.slow)
            yield pytest.param(check, marks=marks, id=str(check))


@pytest.mark.parametrize("check", list(cases()))
def test_promise(check):
    with graphs_released():
        check()


@pytest.mark.parametrize("deeper", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_model_saves_and_loads(deeper):
    """`saves_and_loads` for each, with one other process for all of them."""
    entries = [e for e in MODELS if e.name not in OF_KERAS - {TESTED_OF_KERAS}]
    entries = [e for e in entries if (e.name in DEEPER) == deeper]
    subjects = [Subject(entry, {}) for entry in entries]
    for subject in subjects:
        models.save(subject)
    names = [entry.name for entry in entries]
    errors = models.errors_elsewhere(subjects)
    assert dict(zip(names, errors, strict=True)) == dict.fromkeys(names)


@needs_tf_agents
@pytest.mark.parametrize("half", [pytest.param(each, marks=TOGETHER[each[0]]) for each in HALVES])
def test_every_task_answers_in_another_process(half):
    """`answers_in_another_process` for each, with one other process for half of them."""
    entries = [entry for entry in SHIPPED if entry.kind == "tasks" and entry.name in half]
    subjects = [CHECKS[entry.full_name][0].subject for entry in entries]  # trained already
    scenes.shapes()  # few, which the other process reads from the cache, as it does canvases
    for subject in subjects:
        task_elsewhere.save(subject)
    assert task_elsewhere.errors_elsewhere(subjects) == [None] * len(subjects)


def data_set_cases():
    """Every promise of every shipped data set, those of one together."""
    for source in SOURCES:
        for promise in checks.PROMISES["datasets"]:
            long = promise is datasets.keeps_near_copies_apart and source in SIMILAR_CANVASES
            marks = [pytest.mark.slow] if long else []
            yield pytest.param(source, promise, marks=marks, id=f"{source}-{promise.__name__}")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The subject of a source, with its files, which are written once."""
    folder, subjects = tmp_path_factory.mktemp("sources"), {}

    def subject(source):
        if source not in subjects:
            name, write = SOURCES[source]
            (entry,) = [e for e in SHIPPED if (e.kind, e.name) == ("datasets", name)]
            (folder / source).mkdir()
            root = write(folder / source)
            subjects[source] = Subject(entry, {"root": root} if root else {})
        return subjects[source]

    return subject


@pytest.mark.parametrize(("source", "promise"), list(data_set_cases()))
def test_data_set(source, promise, sources):
    checks.Check(promise, sources(source))()


def test_every_shipped_entry_is_checked():
    assert set(checks.PROMISES) == {entry.kind for entry in SHIPPED}
    assert {entry.name for entry in SHIPPED if entry.kind == "datasets"} == {
        name for name, _ in SOURCES.values()
    }
