"""Damaged and odd picture files in `fit`, `predict` and `explain`: each is accepted or named.

python tests/programs/mutations.py            # 2,000 files from one seed
"""

import argparse
import io
import os
import resource
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48  # pixels of the pictures before they are damaged
LARGE = (65_500).to_bytes(2, "big")


def picture(random, mode="RGB", size=(SIDE, SIDE)) -> Image.Image:
    small = Image.fromarray(random.integers(0, 256, (5, 5, 3)).astype("uint8"))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def flipped(random, data: bytes) -> bytes:
    """Flip one to twenty bits."""
    changed = bytearray(data)
    for place in random.integers(0, len(data), random.integers(1, 21)):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def zeroed(random, data: bytes) -> bytes:
    """Overwrite a stretch with zero bytes."""
    start, stop = sorted(random.integers(0, len(data) + 1, 2))
    return data[:start] + bytes(int(stop - start)) + data[stop:]


def giant(data: bytes) -> bytes:
    """Declare 65,500x65,500 pixels in the header."""
    if data.startswith(b"\x89PNG"):
        size = (65_500).to_bytes(4, "big")
        return data[:16] + size + size + data[24:]
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + LARGE + LARGE + data[place + 4 :]


def sideways(random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = int(random.integers(2, 9))
    return encoded(picture(random, size=(SIDE, SIDE // 2)), "JPEG", exif=exif)


def animated(random) -> bytes:
    frames = [picture(random) for _ in range(3)]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


def deep(random) -> bytes:
    return encoded(Image.fromarray(random.integers(0, 1 << 16, (SIDE, SIDE), np.uint16)), "PNG")


def either(random) -> bytes:
    return encoded(picture(random), str(random.choice(["JPEG", "PNG"])))


KINDS = {
    "bits": lambda r: flipped(r, either(r)),
    "cut": lambda r: (data := either(r))[: int(r.integers(len(data)))],
    "zeros": lambda r: zeroed(r, either(r)),
    "giant": lambda r: giant(either(r)),
    "nothing": lambda r: b"",
    "dot": lambda r: encoded(picture(r, size=(1, 1)), "PNG"),
    "deep": deep,
    "cmyk": lambda r: encoded(picture(r, "CMYK"), "JPEG"),
    "palette": lambda r: encoded(picture(r, "P"), "PNG"),
    "animated": animated,
    "sideways": sideways,
}
SOUND = {"dot", "deep", "cmyk", "palette", "animated", "sideways"}  # which must be decoded
BROKEN = {"giant", "nothing"}  # which must be named


def write_files(folder: Path, count: int, seed: int) -> dict[str, str]:
    """Write `count` files in two class folders; returns the kind of each by its relative path."""
    random, kinds = np.random.default_rng(seed), {}
    weighted = [*KINDS, *["bits"] * 6, *["cut"] * 3, *["zeros"] * 2]  # half are real damage
    for i in range(count):
        kind = weighted[i % len(weighted)]
        data = KINDS[kind](random)
        ending = str(random.choice([".png", ".jpg"]))  # often the wrong one
        path = folder / f"class-{i % 2}" / f"{i:04}-{kind}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        kinds[str(path.relative_to(folder))] = kind
    return kinds


def misjudged(kinds: dict[str, str], refused: set[str]) -> list[str]:
    """The files that were accepted or refused contrary to their kind."""
    return [
        name
        for name, kind in kinds.items()
        if (kind in SOUND and name in refused) or (kind in BROKEN and name not in refused)
    ]


def is_named(run, file: str) -> bool:
    """Whether the error of `explain` names the file."""
    from tinyconv import UserError

    try:
        list(run.explain(file, method="saliency", resize=True))
    except UserError as error:
        return f"{file} is not a picture" in str(error)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from tinyconv.system import start_keras

    start_keras.start()
    import tinyconv

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["TINYCONV_CACHE"] = str(Path(folder) / "cache")
        kinds = write_files(Path("files"), options.files, options.seed)
        settings = {"data": "files", "model": "linear", "epochs": 1, "image_size": 16}
        settings["precision"] = "float32"
        for name in ("a", "b"):
            Path("sound", name).mkdir(parents=True)
            for i in range(5):
                data = encoded(picture(np.random.default_rng(i)), "PNG")
                Path("sound", name, f"{i}.png").write_bytes(data)
        tinyconv.fit(**settings | {"data": "sound"})  # so that Keras' own memory is not counted
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        run = tinyconv.fit(**settings, skip_corrupt=True)
        dataset = tinyconv.data.folder.folder(Path("files"), 16, skip_corrupt=True)
        named = set(dataset.skipped)
        middle = time.monotonic()
        answered = {
            str(Path(p.input).relative_to("files"))
            for p in run.predict("files", resize=True, skip_corrupt=True)
        }
        predicted = time.monotonic()
        run.model = cache(run.model)  # opened only once
        sound = [f"files/{name}" for name in sorted(answered)]
        drawn = sum(1 for _ in run.explain(*sound, method="saliency", resize=True))
        refused = {name for name in named if is_named(run, f"files/{name}")}
        end = time.monotonic()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The three agree about every file.
    assert named == refused == set(kinds) - answered and drawn == len(answered)
    print(f"{len(kinds)} files, {len(named)} of them named as bad")
    print(f"against their kind: {misjudged(kinds, named)}")
    print(f"named by kind: {dict(Counter(kinds[name] for name in named))}")
    print(f"of each kind: {dict(Counter(kinds.values()))}")
    times = {"fit": middle - start, "predict": predicted - middle, "explain": end - predicted}
    print(", ".join(f"{verb} {seconds:.1f} s" for verb, seconds in times.items()))
    print(f"CPU {time.process_time():.0f} s, with the start of TensorFlow")
    print(f"peak memory {before // 1024} MB before, {after // 1024} MB after")


if __name__ == "__main__":
    main()
