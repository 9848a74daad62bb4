"""How a caption is split into words."""

import re


def split(caption: str) -> list[str]:
    """Lower-case words and punctuation: "A dog's ball, red." is a dog's ball , red ."""
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", caption.lower())
