from tiny_subject import Ticking, tiny_subject

from memvr_integrations.evaluate.costs import bandwidth, decode


def test_a_token_reads_the_layers_and_the_head_but_no_embeddings():
    model = tiny_subject().loaded
    decoder = model.model.get_decoder()
    layers = sum(weight.numel() for weight in decoder.layers.parameters())
    norm, head = decoder.norm.weight.numel(), model.model.get_output_embeddings().weight.numel()
    assert bandwidth.read_for_a_token(model) == 4 * (layers + norm + head)
    model.model.get_output_embeddings().weight = model.model.get_input_embeddings().weight
    assert bandwidth.read_for_a_token(model) == 4 * (layers + norm + head)


def test_decode_is_shown_beside_what_the_bandwidth_allows(monkeypatch):
    subject = tiny_subject()
    read = bandwidth.read_for_a_token(subject.loaded)
    monkeypatch.setattr(bandwidth, "bandwidth", lambda *given: 2.0 * read)
    counting = Ticking(subject.loaded, subject.pictures)
    table = bandwidth.table(counting, 1, 4)
    assert [way.name for way in decode.memvr_ways(subject.preset)] == list(table.rows)
    for name, [milliseconds, ratio] in table.rows.items():
        assert (milliseconds.median, ratio.median) == (1000, 2), name


def test_the_bandwidth_is_of_what_was_read_and_written():
    tiny = tiny_subject()
    assert bandwidth.bandwidth(Ticking(tiny.loaded, tiny.pictures), 2**20) == 2 * 2**20
