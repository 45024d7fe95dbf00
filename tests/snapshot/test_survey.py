"""What may be told of attributes: their names, unless they look like values."""

import pytest

from privacy_assets.snapshot.survey import Survey, read_survey, shown_counts, shown_name, shown_type


def test_the_rows_of_the_survey_are_read() -> None:
    rows = [
        {"what": "rows", "name": "", "number": 9},
        {"what": "missing key", "name": "", "number": 1},
        {"what": "repeated key", "name": "", "number": 2},
        {"what": "misfit", "name": "age", "number": 3},
        {"what": "misfit", "name": "day", "number": 4},
        {"what": "undeclared", "name": "x", "number": 5},
    ]
    survey = read_survey(rows)
    assert survey == Survey(9, 1, 2, {"age": 3, "day": 4}, {"x": 5})
    assert survey.misfit_values == 7
    with pytest.raises(ValueError, match="'other', expected a row that the query makes"):
        read_survey([{"what": "other", "name": "", "number": 1}])


@pytest.mark.parametrize("name", ["log_id", "Subject-ID", "a.b", "ns:attr", "_x"])
def test_names_are_told(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize(
    "name", ["jane.doe@example.com", "Jane Doe", "+1 415 555 0100", "x" * 64, "123-45-6789"]
)
def test_what_looks_like_a_value_is_masked(name: str) -> None:
    assert "••••" in shown_name(name)
    assert name not in shown_type(f"struct<ok:string,{name}:struct<s:string>>")


def test_types_keep_their_shape() -> None:
    kind = "struct<log_id:struct<s:string>,l:array<struct<n:string>>,m:map<string,decimal(38,9)>>"
    assert shown_type(kind) == kind


def test_the_largest_counts_are_told() -> None:
    counts = {f"a{number:02}": number for number in range(60)}
    shown = shown_counts(counts)
    assert len(shown) == 50
    assert list(shown)[:2] == ["a59", "a58"]
    assert shown_counts({"a@b.example": 1, "c@d.example": 2}) != {}
