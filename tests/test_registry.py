"""Names, summaries and versions without an import; the nearest names for a wrong one."""

import sys

import pytest

from tinyconv import registry
from tinyconv.errors import UserError, nearest


def test_shipped_names_in_their_natural_order():
    names = registry.names("models")
    assert names.index("resnet9") < names.index("resnet18") < names.index("resnet101")
    tasks = "caption classify dqn draw glimpse localise sentences text translate words"
    assert registry.names("tasks") == tasks.split()


@pytest.mark.parametrize("kind", registry.KINDS)
def test_summaries_are_the_docstrings_first_lines(kind):
    for entry in registry.entries(kind):
        assert entry.load().__doc__.strip().startswith(entry.summary)


def test_a_summary_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "unseen_nets").mkdir()
    (tmp_path / "unseen_nets/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "unseen_nets/net.py").write_text(
        'raise RuntimeError("imported")\ndef net():\n    """A net of 1,234 parameters."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.Entry("models", "net", "unseen-nets", "1.0", "unseen_nets.net:net")
    assert entry.summary == "A net of 1,234 parameters" and entry.parameters == 1234
    assert "unseen_nets" not in sys.modules
    with pytest.raises(registry.PluginError, match=r"unseen-nets 1.0.*RuntimeError: imported"):
        entry.load()


def test_unknown_names():
    with pytest.raises(UserError, match="There is no data set 'cifar'; did you mean cifar10"):
        registry.find("datasets", "cifar")
    assert nearest("zzz", ["b", "a"]) == "choose from a, b."
    assert nearest("resnet19", ["resnet18", "vgg11"]) == "did you mean resnet18?"
    many = nearest("zzz", [f"{i:03d}" for i in range(100)])
    assert many.startswith("choose from 000, 001") and many.endswith("079 and 20 more.")
