"""Paths of deleted records: injective, reversible, never too long."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy_assets.archive.paths import LONGEST, LongKey, key_of, number, path_of


def binary(value: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(value).decode()}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ({"PK": {"S": "USER#123"}, "SK": {"S": "PROFILE"}}, "orders/PK_USER#123_SK_PROFILE.json"),
        ({"PK": {"S": "a/b"}}, "orders/PK_a%2Fb.json"),
        ({"PK": {"S": "a_b"}}, "orders/PK_a%5Fb.json"),
        ({"log_id": {"S": "1"}}, "orders/log%5Fid_1.json"),
        ({"PK": {"S": ".."}}, "orders/PK_...json"),
        ({"PK": {"S": "../../other/x"}}, "orders/PK_..%2F..%2Fother%2Fx.json"),
        ({"PK": {"S": ""}}, "orders/PK_.json"),
        ({"PK": {"S": ""}, "SK": {"S": ""}}, "orders/PK__SK_.json"),
        ({"PK": {"S": "50%"}}, "orders/PK_50%25.json"),
        ({"PK": {"S": "%2F"}}, "orders/PK_%252F.json"),
        ({"PK": {"S": "a\n\x00"}}, "orders/PK_a%0A%00.json"),
        ({"PK": {"S": "Zoë 東京"}}, "orders/PK_Zoë 東京.json"),
        ({"PK": {"S": "🙂\u202e"}}, "orders/PK_%F0%9F%99%82%E2%80%AE.json"),
        ({"id": {"N": "42"}}, "orders/id_%N42.json"),
        ({"id": {"N": "-0.5"}}, "orders/id_%N-0.5.json"),
        ({"id": binary(b"\x00_/\xff")}, "orders/id_%B005f2fff.json"),
        ({"id": {"S": "N42"}}, "orders/id_N42.json"),
        ({"id": {"S": "x.json"}}, "orders/id_x.json.json"),
    ],
)
def test_a_key_has_its_path_and_a_path_its_key(key: dict[str, dict[str, str]], path: str) -> None:
    assert path_of("orders", key) == path
    assert key_of(path) == ("orders", key)


def test_equal_numbers_are_one_key_and_no_text_is_a_number() -> None:
    paths = {path_of("t", {"id": {"N": text}}) for text in ("1", "1.0", "+1", "1e0", "10E-1")}
    assert paths == {"t/id_%N1.json"}
    assert path_of("t", {"id": {"S": "%N1"}}) != "t/id_%N1.json"
    assert len({path_of("t", {"id": value}) for value in ({"S": "31"}, {"N": "31"}, binary(b"1"))}) == 3
    assert number("-0") == number("0.000") == "0"
    assert number("1E+125") == "1" + "0" * 125


ATTRIBUTE = st.text(min_size=1, max_size=20)
VALUE = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(alphabet=st.characters(codec="utf-8"), max_size=60)),
    st.builds(lambda text: {"S": text}, st.text(alphabet="_/%.NBH0aF#", max_size=12)),
    st.builds(
        lambda value: {"N": number(str(value))},
        st.decimals(min_value=-(10**20), max_value=10**20, places=5, allow_nan=False),
    ),
    st.builds(binary, st.binary(max_size=60)),
)
KEY = st.dictionaries(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=12), VALUE, min_size=1, max_size=2
)


@given(KEY)
def test_any_key_comes_back_from_its_path(key: dict[str, dict[str, str]]) -> None:
    path = path_of("orders", key)
    assert len(path.encode()) <= LONGEST
    assert path.count("/") == 1
    assert list(key_of(path)[1].items()) == list(key.items())


@given(KEY, KEY)
def test_two_keys_never_share_a_path(
    one: dict[str, dict[str, str]], other: dict[str, dict[str, str]]
) -> None:
    assert (path_of("t", one) == path_of("t", other)) == (list(one.items()) == list(other.items()))


@pytest.mark.parametrize("letter", ["a", "_", "é", "東", "🙂"])
@pytest.mark.parametrize("cut", range(6))
def test_a_key_of_two_kilobytes_has_a_path_of_its_own(letter: str, cut: int) -> None:
    text = "x" * cut + letter * ((2048 - cut) // len(letter.encode()))
    paths = [
        path_of("orders", {"PK": {"S": text}, "SK": {"S": end}})
        for end in ("y" * 1023 + "1", "y" * 1023 + "2")
    ]
    assert paths[0] != paths[1]
    for path in paths:
        assert len(path.encode()) <= LONGEST
        assert path.startswith("orders/PK_")
        with pytest.raises(LongKey):
            key_of(path)


def test_no_short_key_can_take_a_long_ones_path() -> None:
    path = path_of("orders", {"PK": {"S": "a" * 2048}})
    assert path_of("orders", {"PK": {"S": path.removeprefix("orders/PK_").removesuffix(".json")}}) != path


@pytest.mark.parametrize(
    "path",
    [
        "orders",
        "orders/x.json",
        "orders/a_b_c.json",
        "orders/PK_a%2fb.json",
        "orders/id_%Nx.json",
        "a/b_%41.json",
    ],
)
def test_what_was_never_made_is_no_path(path: str) -> None:
    with pytest.raises(ValueError):
        key_of(path)
