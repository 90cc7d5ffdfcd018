"""What SQLite says of its file, in our words and with the next step."""

import sqlite3

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.grounding.collections.database import Database


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "a.sqlite", "things (name TEXT)")
    yield made
    made.close()


def test_a_full_disk_is_said_with_the_way_on(database):
    database.write("INSERT INTO things VALUES (?)", [("a",)])
    database.read("PRAGMA max_page_count = 1")
    with pytest.raises(ConfigError, match=r"a\.sqlite can't be used: .* is full\. Make room"):
        database.write("INSERT INTO things VALUES (?)", [("b" * 9000,)])
    assert database.read("SELECT name FROM things") == [("a",)]


def test_a_file_that_another_one_writes_to_is_waited_for(database, tmp_path):
    other = sqlite3.connect(tmp_path / "a.sqlite")
    other.execute("BEGIN IMMEDIATE")
    database.read("PRAGMA busy_timeout = 10")
    with pytest.raises(ConfigError, match="Another process is writing to it; wait"):
        database.write("INSERT INTO things VALUES (?)", [("a",)])
    other.close()
    database.write("INSERT INTO things VALUES (?)", [("a",)])
