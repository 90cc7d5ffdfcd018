"""A file of one's own as people's programs write it, and what is said of one that can't be read."""

from pathlib import Path

import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.own.rows import records

HEAD = "image,question,answer"
CSV, JSONL = Path("own.csv"), Path("own.jsonl")


def read(data, path=CSV):
    raw = data if isinstance(data, bytes) else data.encode()
    return list(records(path, raw))


def test_a_plain_table():
    [row] = read(f"{HEAD},choices,kind\n a.png ,What?,red|blue,red | blue|green,\n")
    assert row.fields == {
        "image": "a.png",
        "question": "What?",
        "answer": ["red", "blue"],
        "choices": ["red", "blue", "green"],
    }
    assert row.place == "own.csv, line 2"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfimage;question;answer\r\na.png;Un caf\xc3\xa9, ici ?;oui\r\n",  # Excel
        b"sep=;\r\nimage;question;answer\r\na.png;Un caf\xc3\xa9, ici ?;oui\r\n",
        "image\tquestion\tanswer\na.png\tUn café, ici ?\toui\n".encode(),
        'Image, Question, ANSWER\ra.png, "Un café, ici ?", oui\r'.encode(),
        'question,answer,image\n\n"Un café, ici ?",oui,a.png\n,,\n'.encode(),
    ],
    ids=["Excel", "sep", "tabs", "old line ends", "other order and empty rows"],
)
def test_what_programs_write(data):
    [row] = read(data)
    assert row.fields == {"image": "a.png", "question": "Un café, ici ?", "answer": ["oui"]}


def test_rows_know_the_line_on_which_they_begin():
    rows = read(f'\n{HEAD}\r\na.png,"two\r\nlines",x\r\n\r\nb.png,one,y\r\n')
    assert [row.place for row in rows] == ["own.csv, line 3", "own.csv, line 6"]
    assert rows[0].fields["question"] == "two\nlines"


def test_json_lines():
    line = '{"Image": "a.png", "question": "x|y?", "answer": ["a|b", "c"], "choices": null}'
    [row] = read(f"\ufeff\n{line}\r\n", JSONL)
    assert row.fields == {"image": "a.png", "question": "x|y?", "answer": ["a|b", "c"]}
    assert row.place == "own.jsonl, line 2"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (f"{HEAD}\na.png,caf".encode() + b"\xe9,x\n", "line 2: the byte 0xe9 .*'é'.*CSV UTF-8"),
        (f"{HEAD}\n".encode("utf-16"), "UTF-16.*Save it as UTF-8"),
        (f"{HEAD}\n".encode("utf-16-le"), "UTF-16.*Save it as UTF-8"),
        (b"PK\x03\x04\0\0", "is a spreadsheet.*Export it"),
        (b"", "is empty.*image, question, answer"),
        ("image,question\na.png,x\n", "line 1: there is no column 'answer'.*'image', 'question'"),
        ("\nimage,answr,question\n", "line 2: there is no column 'answer'.*'answr'"),
        (f"{HEAD},answer\n", "'answer' is there twice"),
        (f"{HEAD}\na.png,Is it red, blue?,yes\n", "line 2: there are 4 cells.*names 3 columns"),
        (f'{HEAD}\na.png,"a"b,x\n', "line 2: this is no CSV.*is doubled"),
        (f'{HEAD}\nb.png,x,y\na.png,"a,x\n', "line 3: this is no CSV"),
    ],
)
def test_a_table_that_is_refused(data, said):
    with pytest.raises(BenchmarkError, match=f"(?s)^own.csv.*{said}"):
        read(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{"a": 1}\n[]\n', "line 2.*no object"),
        ('{"image": "a"\n', "line 1: this is no JSON"),
        ('{"answer": "a", "Answer": "b"}\n', "line 1: the field 'answer' is there twice"),
    ],
)
def test_lines_that_are_refused(data, said):
    with pytest.raises(BenchmarkError, match=f"own.jsonl, {said}"):
        read(data, JSONL)
