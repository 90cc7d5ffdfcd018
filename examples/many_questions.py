"""Ask about several pictures at once from asyncio; the backend makes batches of them."""

import asyncio
from pathlib import Path

from memvr_integrations.backend import Backend, Request

IMAGES = Path(__file__).parent / "images"
QUESTIONS = {
    "farm.png": "Is there a dog in the picture?",
    "farm-no-dog.png": "Is there a dog in the picture?",
    "fork-no-knife.png": "Do you see a knife?",
    "three-sheep.png": "How many sheep are there?",
}


async def main() -> None:
    with Backend.load("bundled", progress=False) as backend:
        requests = [Request.ask(text, IMAGES / name) for name, text in QUESTIONS.items()]
        for name, done in zip(QUESTIONS, await backend.agenerate(requests), strict=True):
            print(f"{name}: {QUESTIONS[name]} {done.text}")


asyncio.run(main())
