"""Identifiers as text: what is written is a UUID's form, what is read is that form and no other."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts._identifiers import format_identifier, read_identifier

IDENTIFIER = uuid.UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")


@given(st.binary(min_size=16, max_size=16))
def test_it_is_shown_as_a_uuid_in_lower_case(identifier: bytes) -> None:
    assert format_identifier(identifier) == str(uuid.UUID(bytes=identifier))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_what_has_not_16_bytes_is_not_shown(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        format_identifier(bytes(size))


@given(st.uuids(), st.booleans())
def test_it_is_read_in_either_case(identifier: uuid.UUID, upper: bool) -> None:
    text = str(identifier).upper() if upper else str(identifier)
    assert read_identifier(text) == identifier.bytes


@pytest.mark.parametrize("at", range(36))
@pytest.mark.parametrize("letter", "/:@G`g-_ \0\x7f\xe9\u0660\U0001f600")
def test_one_wrong_letter_is_found_anywhere(at: int, letter: str) -> None:
    text = str(IDENTIFIER)
    if text[at] != letter:
        assert read_identifier(text[:at] + letter + text[at + 1 :]) is None


@given(st.text("0123456789abcdefABCDEF-gG \n\u0660", max_size=40))
def test_any_text_is_read_as_uuid_reads_it_or_not_at_all(text: str) -> None:
    found = read_identifier(text)
    assert found is None or str(uuid.UUID(bytes=found)) == text.lower()


@pytest.mark.parametrize("length", [0, 1, 35, 37, 72])
def test_another_length_is_none(length: int) -> None:
    assert read_identifier((str(IDENTIFIER) * 2)[:length]) is None
