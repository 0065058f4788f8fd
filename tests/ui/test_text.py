"""Every word stands in both languages."""

from __future__ import annotations

from typing import get_args

import pytest

from aione.errors import InvalidInput
from aione.ui.text import _WORDS, word
from config.models import Scenario
from config.settings import AssetState, Recommendation, load_settings


@pytest.mark.parametrize("locale", ["en", "uk"])
@pytest.mark.parametrize(
    "name",
    [
        *get_args(Scenario),
        *get_args(Recommendation),
        *(f"{kind}.{state}" for kind in ("state", "hidden") for state in get_args(AssetState)),
        *sorted(set(load_settings(environ={}).TRIGGER_NAME_MAP.values())),
    ],
)
def test_every_word_of_the_payload_is_translated(name, locale) -> None:
    assert name in _WORDS
    assert "_" not in word(name, locale)


@pytest.mark.parametrize("name", [name for name in _WORDS if name != "column.mark"])
def test_no_translation_is_empty(name) -> None:
    assert all(text.strip() for text in _WORDS[name])


def test_the_languages_differ_in_script() -> None:
    assert any("а" <= letter <= "я" for letter in word("STRONG_BUY", "uk").lower())
    assert word("STRONG_BUY", "en").isascii()


def test_another_locale_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'de'"):
        word("alerts", "de")
