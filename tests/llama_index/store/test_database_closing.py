"""The file of a collection, used by several threads."""

import subprocess
import sys
import textwrap

_CLOSED_MEANWHILE = """
    import sys, threading, time
    from memvr_integrations.errors import RequestError
    from memvr_integrations.llama_index.store.database import Database

    def use(database):
        try:
            while True:
                database.write("INSERT INTO one VALUES (?)", [(b"y" * 3000,)] * 50)
                database.read("SELECT * FROM one")
        except RequestError:
            refused.append(database)

    refused = []
    for number in range(15):
        database = Database(f"{sys.argv[1]}/{number}", "one (a BLOB)")
        threads = [threading.Thread(target=use, args=(database,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.01 + number / 2000)
        database.close()
        for thread in threads:
            thread.join()
    print(len(refused))
"""


def test_it_may_be_closed_while_others_use_it(tmp_path):
    code = textwrap.dedent(_CLOSED_MEANWHILE)
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "30"), run.stderr
