"""The data set `stories`: small generated stories with a question, as tasks 1 to 3 of bAbI.

Weston et al. 2015 (arXiv 1502.05698, section 3). People walk through six places, and in tasks 2
and 3 they pick things up and put them down. The statements on which an answer rests, its supporting
facts, are known: one in task 1 (where is a person), two in task 2 (where is a thing), and three in
task 3 (where was a thing before). The split "deeper" has stories up to twice as long as any in
training.

An example is a text of one sentence a line, whose last line is the question. Its target is
{"answer": a word, "facts": the indices of statements, "task": a number}.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError

PEOPLE = ("Mary", "John", "Sandra", "Daniel")
PLACES = ("kitchen", "bathroom", "hallway", "garden", "office", "bedroom")
THINGS = ("football", "apple", "milk")
GO = ("went to", "moved to", "travelled to", "journeyed to")
GET = ("got", "grabbed", "took", "picked up")
DROP = ("dropped", "discarded", "left", "put down")
GETS, DROPS = 0.3, 0.15  # probabilities of a statement of tasks 2 and 3
LENGTHS = {1: (2, 10), 2: (4, 16), 3: (4, 20)}  # fewest and most statements, by task
COUNTS = {"train": 1000, "validation": 200, "test": 1000, "deeper": 1000}  # of each task
SEED = 0


class World:
    """Who is where, who holds what, and by which statements this is known."""

    def __init__(self, random: np.random.Generator):
        self.random = random
        self.statements: list[str] = []
        self.place: dict[str, tuple[str, int]] = {}  # of a person, and the statement of it
        self.holder: dict[str, tuple[str, int]] = {}  # of a thing, and the statement of it
        self.left: dict[str, tuple[str, tuple[int, ...]]] = {}  # where a thing lies, and its facts
        # Of a thing: each place, the facts of its way there, and when its carrier came.
        self.trail: dict[str, list] = {thing: [] for thing in THINGS}

    def one_of(self, options):
        """An element of a sequence, drawn at random."""
        return options[self.random.integers(len(options))]

    def say(self, person: str, verbs, what: str) -> int:
        """Add a statement, and return its index."""
        self.statements.append(f"{person} {self.one_of(verbs)} the {what}.")
        return len(self.statements) - 1

    def held_by(self, person: str) -> list[str]:
        """The things that a person holds."""
        return [thing for thing, (holder, _) in self.holder.items() if holder == person]

    def can_get(self, person: str) -> list[str]:
        """The things that nobody has touched, or that lie where the person is."""
        if person not in self.place:
            return []
        here = self.place[person][0]
        free = [thing for thing in THINGS if thing not in self.holder]
        return [thing for thing in free if thing not in self.left or self.left[thing][0] == here]

    def go(self, person: str) -> None:
        """A person walks to another place, with what it holds."""
        here = self.place.get(person, (None,))[0]
        place = self.one_of([each for each in PLACES if each != here])
        fact = self.say(person, GO, place)
        self.place[person] = place, fact
        for thing in self.held_by(person):
            self.trail[thing].append((place, (fact, self.holder[thing][1]), fact))

    def get(self, person: str, thing: str) -> None:
        """A person picks a thing up."""
        fact = self.say(person, GET, thing)
        self.holder[thing] = person, fact
        self.left.pop(thing, None)
        place, arrival = self.place[person]
        way = self.trail[thing][-1][1] if self.trail[thing] else ()
        self.trail[thing][-1:] = [(place, way, arrival)]

    def drop(self, person: str, thing: str) -> None:
        """A person puts a thing down."""
        place, arrival = self.place[person]
        del self.holder[thing]
        self.left[thing] = place, (self.say(person, DROP, thing), arrival)

    def act(self, has_things: bool) -> None:
        """One statement more."""
        person, chance = self.one_of(PEOPLE), self.random.random()
        if has_things and chance < GETS and (free := self.can_get(person)):
            self.get(person, self.one_of(free))
        elif has_things and chance < GETS + DROPS and (held := self.held_by(person)):
            self.drop(person, self.one_of(held))
        else:
            self.go(person)


def where_is_a_person(world: World) -> tuple | None:
    """Task 1: (question, answer, facts)."""
    person = world.one_of(list(world.place))
    place, fact = world.place[person]
    return f"Where is {person}?", place, {fact}


def where_is_a_thing(world: World) -> tuple | None:
    """Task 2: (question, answer, facts), or None if nobody has touched a thing."""
    things = [thing for thing in THINGS if world.trail[thing]]
    if not things:
        return None
    thing = world.one_of(things)
    if thing in world.holder:
        person, fact = world.holder[thing]
        place, arrival = world.place[person]
        facts = {fact, arrival}
    else:
        place, facts = world.left[thing]
    return f"Where is the {thing}?", place, set(facts)


def where_was_a_thing(world: World) -> tuple | None:
    """Task 3: (question, answer, facts), or None if no thing has been in two places."""
    things = [thing for thing in THINGS if len(world.trail[thing]) > 1]
    if not things:
        return None
    thing = world.one_of(things)
    (before, _, arrival), (last, way, _) = world.trail[thing][-2:]
    return f"Where was the {thing} before the {last}?", before, {arrival, *way}


QUESTIONS = {1: where_is_a_person, 2: where_is_a_thing, 3: where_was_a_thing}


def draw_story(random: np.random.Generator, task: int, fewest: int, most: int) -> tuple[str, dict]:
    """A story of so many statements with its question, and the target."""
    while True:
        world = World(random)
        for _ in range(random.integers(fewest, most + 1)):
            world.act(has_things=task > 1)
        if question := QUESTIONS[task](world):
            text, answer, facts = question
            target = {"answer": answer, "facts": sorted(facts), "task": task}
            return "\n".join([*world.statements, text]), target


def examples(random: np.random.Generator, split: str, known: set) -> Iterator[tuple[str, dict]]:
    """The examples of a split; stories in `known` are drawn again, and new ones are added to it."""
    for task, (fewest, most) in LENGTHS.items():
        ends = (most + 1, 2 * most) if split == "deeper" else (fewest, most)
        for _ in range(COUNTS[split]):
            text, target = draw_story(random, task, *ends)
            while text in known:
                text, target = draw_story(random, task, *ends)
            known.add(text)
            yield text, target


@cache
def all_splits() -> dict[str, Split]:
    """The splits, the same ones every time."""
    random, known = np.random.default_rng(SEED), set()
    return {name: split(list(examples(random, name, known))) for name in COUNTS}


def stories(root: Path | None = None) -> Dataset:
    """Generated stories with a question, as tasks 1 to 3 of bAbI; the supporting facts are known.

    The split "deeper" has stories up to twice as long as those of training.
    """
    if root is not None:
        raise UserError("stories is generated; leave out --root, or choose babi.")
    return Dataset("stories", (), dict(all_splits()), unit="questions")


def split(rows: list[tuple[str, dict]], names: list[str] | None = None) -> Split:
    """Stories with their targets; names are running numbers for None."""
    texts, targets = map(list, zip(*rows, strict=True))
    names = names or [str(i) for i in range(len(texts))]
    return Split(None, np.full(len(texts), -1, np.int32), names, targets=targets, inputs=texts)
