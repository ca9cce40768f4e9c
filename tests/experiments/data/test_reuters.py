from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from striate.errors import UsageError
from striate.experiments.data.reuters import bag_of_words, parse, read_stories, topic_matrix
from tests.conftest import DataFolder

SGML = """<!DOCTYPE lewis SYSTEM "lewis.dtd">
<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" CGISPLIT="TRAINING-SET" OLDID="1" NEWID="1">
<TOPICS><D>cocoa</D><D>sugar</D></TOPICS><PLACES><D>usa</D></PLACES>
<UNKNOWN>&#5;&#5;&#5;C T</UNKNOWN>
<TEXT>&#2;<TITLE>COCOA &lt;CO> R&amp;D</TITLE><DATELINE>  BAHIA, Feb 26 - </DATELINE><BODY>Showers continued &#38
 Reuter &#3;</BODY></TEXT></REUTERS>
<REUTERS TOPICS="YES" LEWISSPLIT="TEST" NEWID="2"><TOPICS></TOPICS><TEXT TYPE="UNPROC">&#2;
RESERVES up &bogus; 3 pct
</REUTERS>
<REUTERS TOPICS="BYPASS" LEWISSPLIT="TEST" NEWID="3"><TOPICS></TOPICS></REUTERS>
<REUTERS TOPICS="NO" LEWISSPLIT="TRAIN" NEWID="4"><TOPICS><D>earn</D></TOPICS><TEXT>cut off
"""


def test_stories_are_read_from_sgml_that_is_no_xml() -> None:
    first, second, third, fourth = parse(SGML)
    assert first == (1, "train", ("cocoa", "sugar"), "COCOA <CO> R&D Showers continued Reuter")
    assert second == (2, "test", (), "RESERVES up 3 pct")
    assert third == (3, "unused", (), "")
    assert fourth == (4, "unused", ("earn",), "cut off")


def test_packed_and_plain_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no reut2"):
        read_stories(tmp_path)
    (tmp_path / "reut2-000.sgm.gz").write_bytes(gzip.compress(SGML.encode()))
    (tmp_path / "reut2-001.sgm").write_text(SGML)
    assert [story.number for story in read_stories(tmp_path)] == [1, 2, 3, 4] * 2
    has, names = topic_matrix(parse(SGML))
    assert names == ["cocoa", "earn", "sugar"]
    np.testing.assert_array_equal(has.sum(axis=1), [2, 0, 0, 1])


def test_words_are_counted_by_their_stems() -> None:
    pytest.importorskip("snowballstemmer")
    train, test = bag_of_words(["The trades traded, trading 100 ships", "ships"], ["trade the unknown"], n_stems=2)
    np.testing.assert_array_equal(train, [[1, 3], [1, 0]])
    np.testing.assert_array_equal(test, [[0, 1]])


@pytest.mark.data
def test_the_modapte_split(data_folder: DataFolder) -> None:
    parts = [story.part for story in read_stories(data_folder("reuters21578"))]
    assert (len(parts), parts.count("train"), parts.count("test")) == (21578, 9603, 3299)
