"""Prompt formats of families whose checkpoints bring no chat template, by model type."""

# One picture or several, then one question; the processor adds what stands between and after.
_PALIGEMMA = (
    "{% if messages | length != 1 or messages[0]['role'] != 'user' %}"
    "{{ raise_exception('PaliGemma answers one question: send a single user message') }}"
    "{% endif %}"
    "{% set parts = messages[0]['content'] %}"
    "{% set pictures = parts | selectattr('type', 'equalto', 'image') | list %}"
    "{% if not pictures %}"
    "{{ raise_exception('PaliGemma answers about pictures: send one with the question') }}"
    "{% endif %}"
    "{{ '<image>' * (pictures | length) }}"
    "{{ parts | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\n') }}"
)

# One picture and one question, which the processor puts after the picture by itself.
_SINGLE = (
    "{{% if messages | length != 1 or messages[0]['role'] != 'user' %}}"
    "{{{{ raise_exception('{name} answers one question: send a single user message') }}}}"
    "{{% endif %}}"
    "{{% set parts = messages[0]['content'] %}}"
    "{{% if parts | selectattr('type', 'equalto', 'image') | list | length != 1 %}}"
    "{{{{ raise_exception('{name} answers about one picture: send one with the question') }}}}"
    "{{% endif %}}"
    "{before}"
    "{{{{ parts | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\n') }}}}"
    "{after}"
)

BUILT_IN = {
    "paligemma": _PALIGEMMA,
    "blip-2": _SINGLE.format(name="BLIP-2", before="Question: ", after=" Answer:"),
    "instructblip": _SINGLE.format(name="InstructBLIP", before="", after=""),
    "florence2": _SINGLE.format(name="Florence-2", before="", after=""),
}
"""Jinja templates, by model type."""
