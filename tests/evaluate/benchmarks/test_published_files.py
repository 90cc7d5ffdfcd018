import pytest

from memvr_integrations.errors import BenchmarkError
from memvr_integrations.evaluate.benchmarks.benchmark import Question
from memvr_integrations.evaluate.benchmarks.published_files import (
    Folder,
    json_lines,
    json_list,
    json_object,
    table,
    unique,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.json"


def refused(reading, *words):
    with pytest.raises(BenchmarkError) as caught:
        list(reading)
    for word in words:
        assert word in str(caught.value)


def test_json_lines_skip_empty_ones_and_a_byte_order_mark(file):
    file.write_bytes(b'\xef\xbb\xbf{"a": "1"}\r\n\r\n{"a": "x\xe2\x80\xa8y"}\n')
    assert [record.text("a") for record in json_lines(file)] == ["1", "x\u2028y"]


def test_a_broken_line_is_named(file):
    file.write_text('{"a": 1}\n\n{"a": \n')
    refused(json_lines(file), f"{file}, line 3", "no JSON")


def test_a_line_must_be_an_object(file):
    file.write_text('{"a": 1}\n["a"]\n')
    refused(json_lines(file), "line 2", "no object")


def test_entries_of_a_list_know_their_lines(file):
    file.write_text('[\n  {"id": 1},\n\n  {"id": 2,\n   "x": [1, 2]},\n  {"id": "?"}\n]\n')
    places = [record.place for record in json_list(file)]
    assert places == [f"{file}, line {line}" for line in (2, 4, 6)]
    file.write_text("[]")
    assert list(json_list(file)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [('[\n{"a": 1}\n{"a": 2}]', 2), ('[{"a": 1},\n{"a" 2}]', 2), ('[{"a": 1},\n', 2)],
)
def test_a_broken_list_is_refused_with_the_line(file, text, line):
    file.write_text(text)
    refused(json_list(file), f"line {line}")


def test_what_is_no_list_is_refused(file):
    file.write_text('{"a": 1}')
    refused(json_list(file), "no JSON list")


@pytest.mark.parametrize("text", ['[{"a": 1},\n {"a": 2}]', '[\n{"a": 1}\n]', '[{"a": 1}]'])
def test_a_list_where_lines_belong_is_refused(file, text):
    file.write_text(text)
    refused(json_lines(file), "line 1", "no object", "one object on each line")


@pytest.mark.parametrize("more", ['{"a": 2}', "[]", "\n]", "x"])
def test_what_comes_after_a_list_is_refused(file, more):
    file.write_text(f'[{{"a": 1}}]\n{more}\n')
    refused(json_list(file), "after the list there is more")


@pytest.mark.parametrize("digits", [4301, 100_000])
def test_a_number_that_python_does_not_read_is_refused(file, digits):
    file.write_text('{"a": ' + "9" * digits + "}")
    refused(json_lines(file), "line 1", "4300")
    with pytest.raises(BenchmarkError, match="4300"):
        json_object(file)
    file.write_text(f"[{file.read_text()}]")
    refused(json_list(file), "line 1", "4300")


def test_a_number_is_no_name_when_it_is_too_long(file):
    file.write_text('{"a": ' + "9" * 4300 + "}")
    refused(unique(json_lines(file), "a"), "line 1", "4300 characters", "255")


def test_a_broken_object_is_refused_with_the_line(file):
    file.write_text('{\n"a": }')
    with pytest.raises(BenchmarkError, match="line 2"):
        json_object(file)


def test_bytes_that_are_no_text_are_refused(file):
    file.write_bytes(b"\xff\xfe\x00")
    refused(json_lines(file), str(file), "cannot be read")


def test_depth_without_end_is_refused(file):
    file.write_text("[" * 200_000)
    refused(json_lines(file), "line 1")
    with pytest.raises(BenchmarkError):
        json_object(file)


def test_a_field_must_be_there_and_of_its_kind(file):
    file.write_text('{"text": "t", "number": 3, "flag": true, "list": ["a", 1], "label": "Yes"}')
    [record] = json_lines(file)
    assert record.text("number") == "3"
    assert record.choice("label", ("yes", "no")) == "yes"
    for wrong in (
        lambda: record.text("flag"),
        lambda: record.text("nothing"),
        lambda: record.number("text"),
        lambda: record.number("flag"),
        lambda: record.texts("list"),
        lambda: record.records("text"),
        lambda: record.records("list"),
        lambda: record.choice("text", ("yes", "no")),
    ):
        with pytest.raises(BenchmarkError, match="line 1"):
            wrong()


def test_rows_know_their_lines_and_short_ones_lack_a_field(file):
    file.write_text('a,b\n1,"two\nlines"\n3\n')
    first, second = table(file)
    assert first.text("b") == "two\nlines"
    with pytest.raises(BenchmarkError, match="line 4: there is no field 'b'"):
        second.text("b")


def test_a_table_with_an_open_quote_is_refused(file):
    file.write_text('a,b\n1,"two\n')
    refused(table(file), str(file))


def test_what_names_an_entry_must_not_come_twice(file):
    file.write_text('{"id": 1}\n{"id": 2}\n{"id": 1}\n')
    refused(unique(json_lines(file), "id"), "line 3", "line 1")


def test_a_missing_file_comes_with_advice(tmp_path):
    with pytest.raises(BenchmarkError, match=r"is no folder\. Get it there"):
        Folder(tmp_path / "nowhere", "X", "Get it there.")
    with pytest.raises(BenchmarkError, match="is no folder"):
        Folder(tmp_path / ("a" * 300), "X", "Get it there.")
    folder = Folder(tmp_path, "X", "Get it there.")
    with pytest.raises(BenchmarkError, match=r"X: there is no 'a' or 'b' in .*Get it there"):
        folder.find("a", "b")
    (tmp_path / "b").touch()
    assert folder.find("a", "b") == tmp_path / "b"


def test_missing_images_are_counted(tmp_path):
    (tmp_path / "1.png").touch()
    folder = Folder(tmp_path, "X", "Get it there.")
    questions = [
        Question(id=name, text="?", images=(tmp_path / f"{name}.png",), group=name)
        for name in ("1", "2", "3")
    ]
    assert folder.checked(questions[:1]) == (questions[0],)
    with pytest.raises(BenchmarkError, match=r"2 of 3 images are missing.*2\.png"):
        folder.checked(questions)
    longer = [Question(id="4", text="?", images=(tmp_path / ("a" * 300),), group="4")]
    with pytest.raises(BenchmarkError, match="1 of 1 images are missing"):
        folder.checked(longer)
    with pytest.raises(BenchmarkError, match="hold no question"):
        folder.checked([])
