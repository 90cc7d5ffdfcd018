"""Captions on disk: asked for once, with how unsure they were, in files of before too."""

import asyncio
import sqlite3

from memvr_integrations.grounding.collections.kept_captions import (
    Caption,
    KeptCaptions,
    caption_key,
)


class Model:
    def __init__(self):
        self.asked = 0

    async def caption(self):
        self.asked += 1
        await asyncio.sleep(0)
        return Caption(text=f"caption {self.asked}", unsureness=0.25)


async def test_a_key_is_asked_for_once(tmp_path):
    model, file = Model(), tmp_path / "c.sqlite"
    for _ in range(2):
        kept = KeptCaptions(file)
        found = await asyncio.gather(*(kept.get("a", model.caption) for _ in range(3)))
        assert found == [Caption(text="caption 1", unsureness=0.25)] * 3
        kept.close()
    assert model.asked == 1


async def test_a_file_of_before_has_captions_alone(tmp_path):
    with sqlite3.connect(tmp_path / "c.sqlite") as file:
        file.execute("CREATE TABLE captions (key TEXT PRIMARY KEY, text TEXT)")
        file.execute("INSERT INTO captions VALUES ('a', 'A cow.')")
    file.close()
    kept = KeptCaptions(tmp_path / "c.sqlite")
    assert await kept.get("a", Model().caption) == Caption(text="A cow.")
    kept.close()


async def test_notes_are_kept_beside_captions():
    kept, model = KeptCaptions(None), Model()

    async def note():
        return (await model.caption()).text

    assert [await kept.note("a", note), await kept.note("a", note)] == ["caption 1"] * 2
    assert (await kept.get("a", model.caption)).text == "caption 2"
    kept.close()


def test_a_key_depends_on_all_its_parts():
    keys = {caption_key("a", "b"), caption_key("b", "a"), caption_key("a"), caption_key("ab")}
    assert len(keys) == 4
