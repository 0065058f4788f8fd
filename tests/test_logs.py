"""Logging is set up once, at the level that was asked for."""

import logging

import pytest

from aione.errors import InvalidInput
from aione.logs import set_up_logging


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def test_records_below_the_level_are_not_written(capsys):
    set_up_logging({"LOG_LEVEL": "warning"})
    logging.getLogger("aione.test").info("quiet")
    logging.getLogger("aione.test").warning("loud")
    err = capsys.readouterr().err
    assert "loud" in err
    assert "quiet" not in err


def test_setting_up_twice_writes_a_record_once(capsys):
    set_up_logging({})
    set_up_logging({})
    logging.getLogger("aione.test").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_an_unknown_level_is_refused():
    with pytest.raises(InvalidInput, match="'CHATTY'"):
        set_up_logging({"LOG_LEVEL": "chatty"})
