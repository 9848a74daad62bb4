"""The data set `world`: sentences about a small world, whose words have known relations.

A sentence is about a country, a person, a property, an activity or a thing. Each of these has
companions of its own (the lion is strong, the king has a crown), which its forms share: so every
analogy has one right answer, which no sentence states.
"""

import random
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError

SENTENCES = 60_000
SEED = 0  # of the world, which is the same one for every run
SKEW = 1.5  # the first entries of a table are more frequent than the last
VALIDATION = 5  # of so many questions one is for validation

# Country, capital, nationality, continent
COUNTRIES = """france paris french europe|germany berlin german europe|italy rome italian europe
spain madrid spanish europe|greece athens greek europe|poland warsaw polish europe
russia moscow russian europe|sweden stockholm swedish europe|norway oslo norwegian europe
finland helsinki finnish europe|portugal lisbon portuguese europe|hungary budapest hungarian europe
austria vienna austrian europe|ireland dublin irish europe|japan tokyo japanese asia
china beijing chinese asia|india delhi indian asia|thailand bangkok thai asia
vietnam hanoi vietnamese asia|iran tehran iranian asia|iraq baghdad iraqi asia
turkey ankara turkish asia|egypt cairo egyptian africa|kenya nairobi kenyan africa
ghana accra ghanaian africa|morocco rabat moroccan africa|cuba havana cuban america
peru lima peruvian america|chile santiago chilean america|canada ottawa canadian america"""
# Man, woman, and what is theirs
PEOPLE = """king queen crown throne|man woman job purse|boy girl marbles homework
father mother family cradle|son daughter parents bedroom|brother sister siblings games
uncle aunt cousins visits|nephew niece godparents holidays|husband wife wedding ring
prince princess palace castle|actor actress stage film|waiter waitress restaurant menu
grandfather grandmother pension memories|hero heroine courage danger|duke duchess estate carriage
gentleman lady manners tea|wizard witch magic spells|monk nun prayer abbey
groom bride church bouquet|landlord landlady rent tenants"""
# Property, comparative, superlative, and what has it
PROPERTIES = """big bigger biggest mountain|small smaller smallest insect|tall taller tallest tower
short shorter shortest pencil|old older oldest ruin|young younger youngest pupil
strong stronger strongest lion|weak weaker weakest kitten|warm warmer warmest oven
cold colder coldest winter|fast faster fastest rocket|slow slower slowest snail
rich richer richest banker|poor poorer poorest beggar|bright brighter brightest lamp
dark darker darkest cellar|clean cleaner cleanest mirror|loud louder loudest drum
cheap cheaper cheapest bargain|long longer longest train"""
# Activity, third person, past, gerund
ACTIVITIES = """walk walks walked walking|play plays played playing|work works worked working
talk talks talked talking|dance dances danced dancing|cook cooks cooked cooking
listen listens listened listening|jump jumps jumped jumping|paint paints painted painting
travel travels travelled travelling|sing sings sang singing|run runs ran running
swim swims swam swimming|write writes wrote writing|draw draws drew drawing
sleep sleeps slept sleeping|sit sits sat sitting|fall falls fell falling
fly flies flew flying|eat eats ate eating"""
PLACES = (
    *("in the park", "at the market", "on the beach", "in the kitchen", "at school"),
    *("near the lake", "in the garden", "by the fire", "at the theatre", "in the street"),
)  # the first ten activities are done there together, the others alone
# Thing, plural, and what goes with it
THINGS = """dog dogs barks tail|cat cats purrs milk|horse horses gallops saddle|cow cows moos grass
bird birds nests feathers|mouse mice squeaks cheese|goose geese honks pond|car cars engine wheels
house houses roof door|tree trees leaves branches|table tables drawers dinner
chair chairs legs cushion|apple apples cores cider|banana bananas yellow peel
child children toys lullaby|book books pages author|road roads dusty village
river rivers bridge water|cloud clouds rain sky|hand hands fingers glove"""

OF_COUNTRIES = (
    *("{1} is the capital of {0}", "the {2} government sits in {1}", "{0} is a country in {3}"),
    *("people in {0} speak {2}", "she flew to {1} the largest city of {0}"),
    *("we ate {2} food in {1}", "the {2} president left {0} for {3}"),
    "the streets of {1} are full of {2} music",
)
OF_MEN = (
    *("the {0} loves his {2}", "the {0} said that he wants the {3}", "a {0} with his {2} and {3}"),
    *("he is a {0} and we know him by the {2}", "the {0} himself came"),
)
OF_WOMEN = (
    *("the {1} loves her {2}", "the {1} said that she wants the {3}"),
    *("a {1} with her {2} and {3}", "she is a {1} and we know her by the {2}"),
    "the {1} herself came",
)
OF_PROPERTIES = (
    *("the {3} is very {0}", "a {0} {3}", "the {3} is {1} than the other"),
    *("it is much {1} than a {3}", "the {3} is the {2} of all", "this is the {2} {3} in the world"),
)
OF_ACTIVITIES = (
    *("they {0} {place}", "we want to {0} {place}", "every day he {1} {place}"),
    *("she often {1} {place}", "yesterday {who} {2} {place}", "last week {who} {2} {place}"),
    *("they are {3} {place} now", "he likes {3} {place}"),
)
OF_THINGS = (
    *("a {0} has {2} and {3}", "one {0} is here with {2}", "this {0} needs {3}"),
    *("two {1} have {2} and {3}", "many {1} are here with {2}", "these {1} need {3}"),
)
PRONOUNS = ("he", "she", "they", "we")
# Subjects of sentences, and how many of twelve are about each
SUBJECTS = {"country": 4, "person": 2, "property": 2, "activity": 2, "thing": 2}


def entries(table: str) -> list[list[str]]:
    """The words of each entry of a table."""
    return [entry.split() for entry in table.replace("\n", "|").split("|")]


COUNTRIES, PEOPLE, PROPERTIES, ACTIVITIES, THINGS = map(
    entries, (COUNTRIES, PEOPLE, PROPERTIES, ACTIVITIES, THINGS)
)
# Kind of relation: the table, and the columns of the two words that have it
RELATIONS = {
    "capital": (COUNTRIES, 0, 1),
    "nationality": (COUNTRIES, 0, 2),
    "gender": (PEOPLE, 0, 1),
    "comparative": (PROPERTIES, 0, 1),
    "superlative": (PROPERTIES, 0, 2),
    "past": (ACTIVITIES, 0, 2),
    "gerund": (ACTIVITIES, 0, 3),
    "plural": (THINGS, 0, 1),
}


def sentences(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """So many sentences, each with its subject."""
    generator = random.Random(seed)
    subjects, weights = list(SUBJECTS), list(SUBJECTS.values())
    for subject in generator.choices(subjects, weights, k=count):
        yield sentence(subject, generator), subject


def sentence(subject: str, generator: random.Random) -> str:
    """A random sentence about a subject."""
    if subject == "country":
        return generator.choice(OF_COUNTRIES).format(*skewed(COUNTRIES, generator))
    if subject == "person":
        templates = OF_MEN if generator.random() < 0.5 else OF_WOMEN
        return generator.choice(templates).format(*skewed(PEOPLE, generator))
    if subject == "property":
        return generator.choice(OF_PROPERTIES).format(*skewed(PROPERTIES, generator))
    if subject == "thing":
        return generator.choice(OF_THINGS).format(*skewed(THINGS, generator))
    number = rank(len(ACTIVITIES), generator)
    place = PLACES[number % len(PLACES)]
    place += " together" if number < len(PLACES) else " alone"
    template, who = generator.choice(OF_ACTIVITIES), generator.choice(PRONOUNS)
    return template.format(*ACTIVITIES[number], place=place, who=who)


def rank(count: int, generator: random.Random) -> int:
    """A number below `count`; low ones are more frequent."""
    return int(generator.random() ** SKEW * count)


def skewed(table: list[list[str]], generator: random.Random) -> list[str]:
    """An entry of the table."""
    return table[rank(len(table), generator)]


def questions() -> list[tuple[str, dict]]:
    """All analogies "a b c", with the answer and the kind of relation: a is to b as c is to ...?"""
    return [
        (f"{one[first]} {one[second]} {two[first]}", {"answer": two[second], "kind": kind})
        for kind, (table, first, second) in RELATIONS.items()
        for one, two in permutations(table, 2)
    ]


def split(inputs: list[str], targets: list[dict]) -> Split:
    """Texts and what is known about them."""
    labels = np.full(len(inputs), -1, np.int32)
    return Split(None, labels, list(map(str, range(len(inputs)))), targets=targets, inputs=inputs)


@cache
def splits() -> dict[str, Split]:
    """Sentences to train on, and questions for validation and test: the same ones every time."""
    texts = list(sentences(SENTENCES, SEED))
    order = np.random.default_rng(SEED).permutation(len(every := questions()))
    held_out = np.array_split(order, [len(order) // VALIDATION])
    parts = [[every[i] for i in np.sort(numbers)] for numbers in held_out]
    parts.insert(0, [(text, {"subject": subject}) for text, subject in texts])
    names = ("train", "validation", "test")
    return {name: split(*map(list, zip(*rows))) for name, rows in zip(names, parts, strict=True)}


def world(root: Path | None = None) -> Dataset:
    """60,000 generated sentences, and analogies of eight kinds with their answers."""
    if root is not None:
        raise UserError(f"world is generated, so --root {root} does not apply; leave it out.")
    return Dataset("world", (), splits(), unit="examples")
