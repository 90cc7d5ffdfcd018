def test_a_dict_changes_some_fields_of_the_preset(backend, ask):
    [done] = backend.generate(ask("Who?", 0, memvr={"retracing_ratio": 0.3}, max_tokens=1))
    assert done.memvr == backend.preset.changed({"retracing_ratio": 0.3})
