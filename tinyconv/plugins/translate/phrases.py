"""The data set `phrases`: English and French from a grammar, with known alignments.

Real words and real grammar, chosen for what makes alignment more than the diagonal: articles that
depend on the noun, agreement in gender and number, adjectives before or after the noun, possessives
that turn round ("the king 's black dog", "le chien noir du roi"), negation in two parts ("ne ...
pas"), pronouns before the verb, contractions ("du", "des"). Clauses are joined by conjunctions, so
that sentences can have any length: those of training have at most 40 words.

Each French word has *sure* links, to the English words that it translates, and *possible* ones, to
words that decide its form, as the noun of an article (Och and Ney 2003).
"""

import random
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError

COUNTS = {"train": 20_000, "validation": 400, "test": 900}
SEEDS = {"train": 1, "validation": 2, "test": 3}  # of the random numbers of each split
CLAUSES = {"train": (1, 3), "validation": (1, 3), "test": (1, 6)}  # the fewest, and the most
LONGEST = 40  # English words of a training or validation sentence
VOWELS = "aeiouhéèêîôâ"

# English, French plural, French singular, gender
NOUNS = """man hommes homme m|woman femmes femme f|boy garçons garçon m|girl filles fille f
dog chiens chien m|cat chats chat m|bird oiseaux oiseau m|horse chevaux cheval m|king rois roi m
queen reines reine f|friend amis ami m|teacher professeurs professeur m|doctor médecins médecin m
child enfants enfant m|tree arbres arbre m|house maisons maison f|car voitures voiture f
book livres livre m|apple pommes pomme f|table tables table f|door portes porte f
garden jardins jardin m|river rivières rivière f|island îles île f|hat chapeaux chapeau m
letter lettres lettre f|flower fleurs fleur f|bridge ponts pont m|school écoles école f
church églises église f|hotel hôtels hôtel m|ship bateaux bateau m|knife couteaux couteau m
bottle bouteilles bouteille f|street rues rue f|village villages village m"""
PLURALS = {
    "man": "men", "woman": "women", "child": "children", "knife": "knives", "church": "churches",
}  # fmt: skip
# English, then French: masculine, feminine, masculine plural, feminine plural
AFTER = """red rouge rouge rouges rouges|green vert verte verts vertes|black noir noire noirs noires
white blanc blanche blancs blanches|blue bleu bleue bleus bleues|sad triste triste tristes tristes
happy heureux heureuse heureux heureuses|strong fort forte forts fortes|slow lent lente lents lentes
rich riche riche riches riches|tired fatigué fatiguée fatigués fatiguées|empty vide vide vides vides
french français française français françaises|famous célèbre célèbre célèbres célèbres"""
# ... and the masculine before a vowel
BEFORE = """big grand grande grands grandes grand|small petit petite petits petites petit
old vieux vieille vieux vieilles vieil|new nouveau nouvelle nouveaux nouvelles nouvel
good bon bonne bons bonnes bon|young jeune jeune jeunes jeunes jeune
long long longue longs longues long|beautiful beau belle beaux belles bel"""
# English: he sees, they see, saw; French: voit, voient, vu
VERBS = """sees see saw voit voient vu|likes like liked aime aiment aimé|eats eat ate mange mangent
 mangé|takes take took prend prennent pris|finds find found trouve trouvent trouvé
buys buy bought achète achètent acheté|wants want wanted veut veulent voulu
reads read read lit lisent lu|opens open opened ouvre ouvrent ouvert
follows follow followed suit suivent suivi|draws draw drew dessine dessinent dessiné
sells sell sold vend vendent vendu|knows know knew connaît connaissent connu
hides hide hid cache cachent caché|loses lose lost perd perdent perdu
gives give gave donne donnent donné"""
PREPOSITIONS = {
    "in": ["dans"], "with": ["avec"], "under": ["sous"], "behind": ["derrière"],
    "without": ["sans"], "near": ["près", "de"], "for": ["pour"], "against": ["contre"],
}  # fmt: skip
CONJUNCTIONS = {
    "and": ["et"], "but": ["mais"], "because": ["parce", "que"], "when": ["quand"],
    "while": ["pendant", "que"], "if": ["si"], "so": ["donc"], "then": ["puis"],
}  # fmt: skip
ADVERBS = {"often": "souvent", "always": "toujours", "rarely": "rarement", "still": "encore"}
PRONOUNS = {"him": "le", "her": "la", "them": "les"}
DETERMINERS = ("the", "the", "the", "a", "this", "my", "his", "two", "three")
TENSES = ("present", "present", "present", "past", "past", "not", "never", "adverb", "did not")


def entries(table: str) -> list[list[str]]:
    """The words of each entry of a table."""
    return [entry.split() for entry in table.replace("\n ", " ").replace("\n", "|").split("|")]


NOUNS, AFTER, BEFORE, VERBS = map(entries, (NOUNS, AFTER, BEFORE, VERBS))


@dataclass
class Word:
    """A French word, and the English words (by position) that it is linked to."""

    text: str
    sure: set[int]
    possible: set[int] = field(default_factory=set)

    @property
    def has_vowel(self) -> bool:
        return self.text[0] in VOWELS


@dataclass
class Phrase:
    """A noun phrase in French."""

    words: list[Word]
    is_plural: bool


class Writer:
    """Writes a sentence pair: English words at once, French ones as they come back."""

    def __init__(self, generator: random.Random):
        self.random = generator
        self.english: list[str] = []

    def say(self, word: str) -> int:
        """Append an English word, and return its position."""
        self.english.append(word)
        return len(self.english) - 1

    def noun_phrase(self, may_own: bool = True) -> Phrase:
        """The dog, or the king 's dog."""
        if may_own and self.random.random() < 0.15:
            return self.possessive()
        determiner = self.random.choice(DETERMINERS)
        return self.nouns(determiner)

    def possessive(self) -> Phrase:
        """The king 's dog: le chien du roi."""
        owner = self.noun_phrase(may_own=False).words
        link = self.say("'s")
        phrase = self.nouns(None, link)
        return Phrase(phrase.words + contracted("de", {link}, owner), phrase.is_plural)

    def nouns(self, determiner: str | None, link: int | None = None) -> Phrase:
        """A noun with its adjectives, after a determiner or, at `link`, a possessive 's."""
        english, plural, singular, gender = self.random.choice(NOUNS)
        can_be_plural = determiner in ("the", "my", "his", None)
        is_plural = determiner in ("two", "three") or (can_be_plural and self.random.random() < 0.3)
        if determiner is not None:
            link = self.say(determiner)
        before = self.random.choice(BEFORE) if self.random.random() < 0.4 else None
        after = self.random.choice(AFTER) if self.random.random() < 0.4 else None
        places = [self.say(each[0]) for each in (before, after) if each]
        noun = self.say(PLURALS.get(english, english + "s") if is_plural else english)
        form = 1 + (gender == "f") + 2 * is_plural
        words = [Word(plural if is_plural else singular, {noun})]
        if before:
            text = before[5] if form == 1 and words[0].has_vowel else before[form]
            words.insert(0, Word(text, {places[0]}, {noun}))
        if after:
            words.append(Word(after[form], {places[-1]}, {noun}))
        text = article(determiner or "the", gender == "f", is_plural, words[0].has_vowel)
        return Phrase([Word(text, {link}, {noun}), *words], is_plural)

    def clause(self) -> list[Word]:
        """A subject, a verb in one of its tenses, an object, and perhaps a preposition's phrase."""
        subject = self.noun_phrase()
        verb = self.verb(subject.is_plural)
        if self.random.random() < 0.2:
            english = self.random.choice(list(PRONOUNS))
            pronoun, place = PRONOUNS[english], 1 if verb[0].text == "ne" else 0
            elides = pronoun != "les" and verb[place].has_vowel
            verb.insert(place, Word("l'" if elides else pronoun, {self.say(english)}))
            objects = []
        else:
            objects = self.noun_phrase().words
        if verb[0].text == "ne" and verb[1].has_vowel:
            verb[0].text = "n'"
        words = [*subject.words, *verb, *objects]
        if self.random.random() < 0.35:
            english = self.random.choice(list(PREPOSITIONS))
            link, phrase = {self.say(english)}, self.noun_phrase().words
            *first, last = PREPOSITIONS[english]
            words += [Word(each, link) for each in first]
            words += contracted(last, link, phrase)
        return words

    def verb(self, is_plural: bool) -> list[Word]:
        """The verb with its negation, auxiliary or adverb."""
        singular, plural, past, finite, finite_plural, participle = self.random.choice(VERBS)
        english, finite = (plural, finite_plural) if is_plural else (singular, finite)
        auxiliary, tense = "ont" if is_plural else "a", self.random.choice(TENSES)
        if tense == "past":
            verb = {self.say(past)}
            return [Word(auxiliary, verb), Word(participle, verb)]
        if tense == "never":
            no, verb = {self.say("never")}, {self.say(english)}
            return [Word("ne", no, verb), Word(finite, verb), Word("jamais", no)]
        if tense == "adverb":
            word = self.random.choice(list(ADVERBS))
            adverb, verb = {self.say(word)}, {self.say(english)}
            return [Word(finite, verb), Word(ADVERBS[word], adverb)]
        if tense in ("not", "did not"):
            helper = "did" if tense == "did not" else "do" if is_plural else "does"
            do, no, verb = {self.say(helper)}, {self.say("not")}, {self.say(plural)}
            ne, pas = Word("ne", no, do | verb), Word("pas", no, do)
            if tense == "not":
                return [ne, Word(finite, verb, do), pas]
            return [ne, Word(auxiliary, do, verb), pas, Word(participle, verb, do)]
        return [Word(finite, {self.say(english)})]


def article(determiner: str, is_feminine: bool, is_plural: bool, before_vowel: bool) -> str:
    """The French for the, a, this, my, his, two, three."""
    if determiner == "the":
        return "les" if is_plural else "l'" if before_vowel else "la" if is_feminine else "le"
    if determiner == "a":
        return "une" if is_feminine else "un"
    if determiner == "this":
        return "cette" if is_feminine else "cet" if before_vowel else "ce"
    if determiner in ("my", "his"):
        ending = "es" if is_plural else "a" if is_feminine and not before_vowel else "on"
        return ("m" if determiner == "my" else "s") + ending
    return {"two": "deux", "three": "trois"}[determiner]


def contracted(preposition: str, link: set[int], phrase: list[Word]) -> list[Word]:
    """A preposition before a noun phrase: de + le is du, de + les is des, de before a vowel d'."""
    first, *rest = phrase
    if preposition != "de":
        return [Word(preposition, link), *phrase]
    if first.text in ("le", "les"):
        text = "du" if first.text == "le" else "des"
        return [Word(text, link | first.sure, first.possible), *rest]
    return [Word("d'" if first.has_vowel else "de", link), *phrase]


def pair(generator: random.Random, clauses: int) -> tuple[list[str], list[Word]]:
    """A sentence of so many clauses: its English and its French words."""
    writer, french = Writer(generator), []
    for number in range(clauses):
        if number:
            english = generator.choice(list(CONJUNCTIONS))
            link = {writer.say(english)}
            french += [Word(each, link) for each in CONJUNCTIONS[english]]
        words = writer.clause()
        if number and french[-1].text == "que" and words[0].has_vowel:
            french[-1].text = "qu'"
        french += words
    return writer.english, french


@cache
def examples(split: str) -> Split:
    """The sentences of a split, with their links: the same ones every time."""
    generator, (fewest, most) = random.Random(SEEDS[split]), CLAUSES[split]
    inputs, targets = [], []
    while len(inputs) < COUNTS[split]:
        number = fewest + len(inputs) % (most - fewest + 1)  # as many of each
        english, french = pair(generator, number)
        if split != "test" and len(english) > LONGEST:
            continue
        inputs.append(" ".join(english))
        targets.append(
            {
                "text": " ".join(word.text for word in french),
                "sure": [sorted(word.sure) for word in french],
                "possible": [sorted(word.sure | word.possible) for word in french],
            }
        )
    names = [str(number) for number in range(len(inputs))]
    return Split(None, np.full(len(inputs), -1, np.int32), names, targets=targets, inputs=inputs)


def phrases(root: Path | None = None) -> Dataset:
    """Generated sentences in English and French, with the links between their words."""
    if root is not None:
        raise UserError(f"phrases are generated, so --root {root} does not apply; leave it out.")
    splits = {split: examples(split) for split in COUNTS}
    return Dataset("phrases", (), splits, unit="sentences")
