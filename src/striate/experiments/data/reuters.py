"""Reuters-21578: newswire stories of 1987 with topics and words."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.lazy import needs

__all__ = ["Story", "bag_of_words", "read_stories", "stems", "topic_matrix"]

_STORY = re.compile(r"<REUTERS(?P<attributes>[^>]*)>(?P<content>.*?)(?=<REUTERS|</REUTERS>|\Z)", re.DOTALL)
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_TOPICS = re.compile(r"<TOPICS>(.*?)</TOPICS>", re.DOTALL)
_TOPIC = re.compile(r"<D>(.*?)</D>", re.DOTALL)
_TEXT = re.compile(r"<TEXT[^>]*>(.*?)(?:</TEXT>|\Z)", re.DOTALL)
_NOT_NEWS = re.compile(r"<DATELINE>.*?</DATELINE>|<AUTHOR>.*?</AUTHOR>|</?[A-Z]+[^>]*>", re.DOTALL)
_ENTITY = re.compile(r"&(#?\w*);?")
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}  # all other entities are control characters, or broken
_WORD = re.compile(r"[a-z]{2,}")


class Story(NamedTuple):
    """A story of the collection."""

    number: int  # NEWID
    part: str  # "train" or "test" of the ModApte split, or "unused"
    topics: tuple[str, ...]
    text: str


def read_stories(folder: Path) -> list[Story]:
    """Read all stories of ``reut2-0NN.sgm``, packed by gzip or not, in their order.

    The ModApte split takes stories whose attribute TOPICS is YES: 9,603 of them, with the attribute LEWISSPLIT
    TRAIN, for training, and 3,299, with TEST, for testing.
    """
    paths = sorted(folder.glob("reut2-*.sgm*"))
    if not paths:
        raise UsageError(f"{folder} holds no reut2-*.sgm.gz; type `striate data get reuters21578`")
    stories: list[Story] = []
    for path in paths:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if path.suffix == ".gz" else packed
        stories += parse(content.decode("latin-1"))  # a single byte of the collection is not ASCII
    return stories


def parse(sgml: str) -> list[Story]:
    """Parse the stories of one file. It is not valid XML: entities of control characters, no root, open tags."""
    stories: list[Story] = []
    for found in _STORY.finditer(sgml):
        attributes = dict(_ATTRIBUTE.findall(found["attributes"]))
        split = attributes.get("LEWISSPLIT", "").lower()
        used = attributes.get("TOPICS") == "YES" and split in ("train", "test")
        topics = _TOPICS.search(found["content"])
        text = _TEXT.search(found["content"])
        stories.append(
            Story(
                number=int(attributes.get("NEWID", 0)),
                part=split if used else "unused",
                topics=tuple(_TOPIC.findall(topics[1])) if topics else (),
                text=_plain(text[1]) if text else "",
            )
        )
    return stories


def _plain(text: str) -> str:
    text = _NOT_NEWS.sub(" ", text)
    return " ".join(_ENTITY.sub(lambda found: _CHARACTERS.get(found[1], " "), text).split())


def stems(text: str) -> list[str]:
    """Return the stems of a text's words by Porter's rules, without numbers and stop words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in ENGLISH_STOP_WORDS]


@cache
def _stem(word: str) -> str:
    stem: str = _stemmer().stemWord(word)
    return stem


@cache
def _stemmer() -> Any:
    with needs("snowballstemmer", "search", "stems of words need snowballstemmer"):
        import snowballstemmer
    return snowballstemmer.stemmer("porter")


def bag_of_words(train: list[str], *others: list[str], n_stems: int = 2000) -> list[NDArray[Any]]:
    """Count the commonest stems of the training texts in each text: float32 (n_texts, n_stems) per list of texts."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=stems, max_features=n_stems, dtype=np.float32)
    return [vectorizer.fit_transform(train).toarray(), *(vectorizer.transform(texts).toarray() for texts in others)]


def topic_matrix(stories: list[Story]) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which story has which topic, (n_stories, n_topics), and the topics in alphabetical order."""
    names = sorted({topic for story in stories for topic in story.topics})
    place = {name: number for number, name in enumerate(names)}
    has = np.zeros((len(stories), len(names)), bool)
    for number, story in enumerate(stories):
        has[number, [place[topic] for topic in story.topics]] = True
    return has, names
