"""What the doctor says of a model's identity, speed and memory."""

import dataclasses

from memvr_integrations.doctor.measures import identity, memory, speed


def test_identity(subject):
    backend = subject.backend
    found = identity(subject)
    assert found.outcome == "ok"
    for part in ("bundled: llava", "9,760,576", "float32 on cpu", backend.identity.key[:16]):
        assert part in found.says
    assert "; answers are computed together; " in found.says
    assert found.says.endswith("MemVR between layers 1 and 6 of 12 above 0.75, calibrated")


def test_identity_by_a_commit(subject, monkeypatch):
    origin = dataclasses.replace(subject.host.origin, commit="abc123", files=())
    monkeypatch.setattr(type(subject.host), "origin", origin)
    assert "commit abc123" in identity(subject).says


def test_speed(subject):
    found = speed(subject)
    assert found.outcome == "ok"
    assert "in 2 rounds" in found.says
    chosen = subject.backend.report().probe
    assert chosen["kind"] == "reuse"
    assert found.says.endswith(f"; probe reuse: {chosen['way']} ({chosen['reason']})")


def test_speed_of_a_single_token(subject):
    subject.tokens = 1
    assert speed(subject).outcome == "not applicable"


def test_memory(subject, monkeypatch):
    found = memory(subject)
    assert found.outcome == "ok"
    assert "weights 0.039 GB" in found.says
    text = subject.model.config.get_text_config()
    layers, heads = text.num_hidden_layers, text.num_key_value_heads
    full = 2 * layers * heads * text.head_dim * 2048 * 4 / 1e9
    assert f"a row of 2,048 tokens keeps {full:.3g} GB" in found.says
    monkeypatch.setattr(subject.host, "context", 2**31)
    assert "a row of" not in memory(subject).says
