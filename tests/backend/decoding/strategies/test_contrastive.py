"""Contrastive decoding with a smaller model, against its formula."""

import gc
import math
import weakref

import decoding_reference as reference
import pytest
import torch
from families import FAMILIES
from rows import EAGER

from memvr_integrations.backend.hosting.load_config import LoadConfig
from memvr_integrations.backend.hosting.loading import load_model
from memvr_integrations.errors import ConfigError
from memvr_integrations.types.decoding import ContrastiveConfig


@pytest.fixture(scope="session")
def student(halve, tmp_path_factory):
    """The bundled model, less sure of itself."""
    loaded = halve()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in loaded.model.model.language_model.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=random)
    folder = tmp_path_factory.mktemp("student")
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return str(folder)


def test_it_is_its_formula(backend, loaded, student, ask, scenes, endless):
    config = ContrastiveConfig(student=student, alpha=0.8, beta=0.02)
    with endless(backend):
        [answer] = backend.generate(
            ask("Describe it.", 3, max_tokens=8, memvr=None, decoding=config)
        )
    teacher = reference.read(loaded, scenes, "Describe it.", 3)
    pupil = load_model(student, LoadConfig(device="cpu", progress=False)).model
    follower = reference.read(loaded, scenes, "Describe it.", 3, model=pupil)

    def step(ids):
        own = teacher.logits(ids)
        out = follower.run(ids)
        other = out.logits[0, -1].float()
        with torch.no_grad():
            # The student's own end token counts: no hook of the tests is on it.
            hidden = follower.run(ids, output_hidden_states=True).hidden_states[-1][0, -1]
            other = pupil.lm_head(hidden).float()
        mixed = reference.log_softmax(own) - 0.8 * reference.log_softmax(other)
        mixed[own.isneginf()] = -math.inf
        return reference.cut(mixed, own, 0.02)

    reference.same(answer, *reference.greedy(step, 8))


def test_rows_batches_and_neutral_settings(make_backend, student, ask, endless):
    backend = make_backend()

    def asked(decoding):
        return [
            ask("Describe it.", 0, memvr=None, max_tokens=6, decoding=decoding),
            ask("Is there a dog, or a cow?", 1, 2, memvr=EAGER, max_tokens=6, decoding=decoding),
            ask("Who are you?", max_tokens=3, decoding=decoding),
        ]

    with endless(backend):
        plain = backend.generate(asked(None))
        neutral = backend.generate(asked(ContrastiveConfig(student=student, alpha=0, beta=0)))
        strong = ContrastiveConfig(student=student, alpha=2)
        together = backend.generate(asked(strong))
        alone = [backend.generate(request)[0] for request in asked(strong)]
    assert [a.tokens for a in neutral] == [a.tokens for a in plain]
    for one, other in zip(together, alone, strict=True):
        assert [t.id for t in one.tokens] == [t.id for t in other.tokens]
        logprobs = [t.logprob for t in other.tokens]
        assert [t.logprob for t in one.tokens] == pytest.approx(logprobs, abs=1e-4)


def test_the_student_is_loaded_once_runs_once_a_token_and_goes_with_its_teacher(
    make_backend, student, ask, endless
):
    backend, config = make_backend(), ContrastiveConfig(student=student)
    with endless(backend) as passes:
        backend.generate(ask("What?", 0, max_tokens=3, decoding=config))
        host = backend._host.students.get(student)
        count = 0

        def note(*_):
            nonlocal count
            count += 1

        handle = host.model.register_forward_hook(note)
        passes.forwards = 0
        backend.generate(ask("What?", 0, max_tokens=3, decoding=config))
        handle.remove()
    assert passes.forwards + count == 3 * 2
    assert count == 3
    model = weakref.ref(host.model)
    del host, handle, note
    backend.close()
    gc.collect()
    assert model() is None


def test_another_tokenizer_is_refused(backend, ask, tmp_path):
    other = str(FAMILIES["llava"].save("llava", tmp_path))
    with pytest.raises(ConfigError, match="another tokenizer than bundled"):
        backend.generate(ask("What?", 0, decoding=ContrastiveConfig(student=other)))
    control = ContrastiveConfig(student=other, control="plausibility")
    assert backend.generate(ask("What?", 0, max_tokens=1, decoding=control))


async def test_a_student_may_be_loaded_for_asyncio(make_backend, student, ask):
    backend = make_backend()
    config = ContrastiveConfig(student=student)
    [answer] = await backend.agenerate(ask("Who are you?", max_tokens=1, decoding=config))
    assert answer.decoding == config
