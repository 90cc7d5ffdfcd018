"""The file of a collection, used by several threads."""

import os
import threading
import time

from forked import forked

from memvr_integrations.errors import RequestError
from memvr_integrations.grounding.collections.database import Database


def test_it_may_be_closed_while_others_use_it(tmp_path):
    """In a process of its own, which a fault would end."""
    refused = []

    def use(database):
        try:
            while True:
                database.write("INSERT INTO one VALUES (?)", [(b"y" * 3000,)] * 50)
                database.read("SELECT * FROM one")
        except RequestError:
            refused.append(database)

    def close_meanwhile():
        for number in range(15):
            database = Database(tmp_path / f"{number}", "one (a BLOB)")
            threads = [threading.Thread(target=use, args=(database,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(0.01 + number / 2000)
            database.close()
            for thread in threads:
                thread.join()
        assert len(refused) == 30

    assert os.waitpid(forked(close_meanwhile), 0)[1] == 0
