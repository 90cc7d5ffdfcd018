"""Chat templates of the kinds that checkpoints are published with, by how they read content."""

PARTS = (
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)
USER = "{% if m['content'] is string %}{{ m['content'] }}{% else %}" + PARTS + "{% endif %}"
EACH = "{% for m in messages %}[{{ m['role'] }}]"
END = "[end]{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
TURNS = (
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must take turns') }}{% endif %}[{{ m['role'] }}]"
)
SYSTEM_APART = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
)


def other(read: str) -> str:
    """Pictures and texts of users in a loop, other roles as `read` says."""
    return f"{EACH}{{% if m['role'] == 'user' %}}{USER}{{% else %}}{read}{{% endif %}}{END}"


KINDS = {
    "loops": EACH + PARTS + END,
    "first part": other("{{ m['content'][0]['text'] }}"),
    "prints": other("{{ m['content'] }}"),
    "adds to a string": other("{{ '' + m['content'] }}"),
    "either": other("{{ m['content'] if m['content'] is string else m['content'][0]['text'] }}"),
    "looks at the first part": EACH + "{{ m['content'][0]['type'] }}" + PARTS + END,
    "trims": EACH
    + PARTS.replace("part['text'] }}", "part['text'] | trim }}").replace("<image>\n", "<image>")
    + END,
    "pictures first": EACH
    + "{% for part in m['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in m['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}" + END,
    "one text": EACH
    + "{% for part in m['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{{ (m['content'] | selectattr('type', 'equalto', 'text') | first)['text'] }}" + END,
    "no system": SYSTEM_APART
    + "{% if system is defined %}{{ raise_exception('no system role') }}{% endif %}"
    + TURNS
    + PARTS
    + END,
    "drops system": EACH.replace("messages %}", "messages if m['role'] != 'system' %}")
    + PARTS
    + END,
    "system in every turn": SYSTEM_APART
    + TURNS
    + "{% if m['role'] == 'user' and system is defined %}{{ system[0]['text'] }}{% endif %}"
    + PARTS
    + END,
    "system before the last turn": SYSTEM_APART
    + TURNS
    + "{% if loop.last and system is defined %}{{ system + '\n\n' }}{% endif %}"
    + "{% if m['role'] == 'user' %}"
    + USER
    + "{% else %}{{ m['content'] + '' }}{% endif %}"
    + END,
    "system first, in turns": SYSTEM_APART
    + "{% if system is defined %}[system]{{ system[0]['text'] }}[end]{% endif %}"
    + TURNS
    + USER
    + END,
    "leaves thoughts out": EACH
    + "{% set text %}"
    + PARTS
    + "{% endset %}{% if m['role'] == 'assistant' and '</think>' in text %}"
    "{{ text.split('</think>')[-1] | trim }}{% else %}{{ text }}{% endif %}" + END,
}
"""Templates that can show any conversation, in one form or another."""

LOSING = {
    "prints everything": EACH + "{{ m['content'] }}" + END,
    "prints JSON": EACH + "{{ m['content'] | tojson }}" + END,
    "last part": other("x").replace(PARTS, PARTS.replace("m['content']", "m['content'][-1:]")),
    "pictures twice": EACH + PARTS.replace("<image>", "<image><image>") + END,
    "backwards": EACH.replace("messages", "messages | reverse") + PARTS + END,
}
"""Templates that can't show a picture between two texts, or a conversation."""
