"""The metadata, and whether README and .ci/run agree with them."""

import importlib.metadata
import re
import runpy
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def metadata(monkeypatch):
    """The arguments of setup()."""
    arguments = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: arguments.update(keywords))
    runpy.run_path("setup.py")
    return arguments


def requirements(entries, python="3.13", extra="") -> set[str]:
    """The names of the packages required on that Python."""
    environment = {"python_version": python, "extra": extra}
    parsed = map(Requirement, entries)
    return {each.name for each in parsed if not each.marker or each.marker.evaluate(environment)}


def test_no_python_is_forbidden_from_above(metadata):
    allowed = SpecifierSet(metadata["python_requires"])
    assert "3.10.9" not in allowed and all(f"3.{minor}.0" in allowed for minor in (11, 14, 20))
    for entry in metadata["install_requires"]:
        assert Requirement(entry).marker is None


def test_keras_is_bounded_at_the_release_that_these_tests_run_on(metadata):
    """tests/test_private.py checks Keras' private parts for no later release."""
    (keras,) = (
        each for each in map(Requirement, metadata["install_requires"]) if each.name == "keras"
    )
    major, minor, *_ = importlib.metadata.version("keras").split(".")
    assert f"{major}.{minor}.9" in keras.specifier
    assert f"{major}.{int(minor) + 1}.0" not in keras.specifier


def test_the_readme_names_the_pythons_that_are_tested(metadata):
    named = re.search(r"Python (3\.\d+), (3\.\d+) or (3\.\d+)", README).groups()
    prefix = "Programming Language :: Python :: "
    classified = [each for each in metadata["classifiers"] if each.startswith(prefix)]
    assert [prefix + python for python in named] == classified


@pytest.mark.parametrize("document", ["README.md", "GUIDE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(document):
    """Pictures too; a heading's anchor is its words in small letters, with hyphens."""
    links = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", (ROOT / document).read_text("utf-8"))
    for link in (first or second for first, second in links):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        file = ROOT / (name or document)
        assert file.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = [
                re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings
            ]
            assert anchor in anchors, link


def test_the_readme_stays_short():
    assert README.count("\n") <= 250


def test_continuous_integration_runs_the_readmes_test_command():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    tests = [command for command in commands if command.endswith("tox")]
    assert (ROOT / ".ci/run").read_text().splitlines()[-1:] == tests


def test_what_one_task_or_a_gpu_needs_is_only_in_its_extra(metadata):
    base = requirements(metadata["install_requires"])
    assert not base & {"nltk", "tf-agents", "gym", "ale-py", "tensorboard", "jax", "onnx"}
    everything = metadata["extras_require"]["all"]
    assert requirements(everything) >= {"jax", "onnx", "gymnasium"}
    assert not any(Requirement(entry).extras for entry in everything)  # tensorflow[and-cuda]
    assert Requirement(*metadata["extras_require"]["gpu"]).extras == {"and-cuda"}
    assert Requirement(*metadata["extras_require"]["jax-gpu"]).extras == {"cuda12"}


def test_the_extra_dqn_is_complete_on_3_11_and_lacks_only_tf_agents_later(metadata):
    dqn = metadata["extras_require"]["dqn"]
    assert "tf-agents" in requirements(dqn, "3.11")
    for python in ("3.12", "3.13", "3.14"):
        names = requirements(dqn, python)
        assert not names & {"tf-agents", "pygame"}
        assert names >= {"tf-keras", "tensorflow-probability", "gym", "gin-config"}
