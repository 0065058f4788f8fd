"""Writing behind: what is final in the rings comes to the disk, and when it does not, that is said."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aione.errors import ServiceUnavailable
from aione.panel.bars import BAR_RECORD, DAY_MS, MINUTE_MS, VALUE_FIELDS, Finality, Source
from aione.store.archive import BarArchive
from aione.store.archiver import Archiver, _locked
from aione.store.ring_layout import CORRECTED
from aione.store.rings import MemoryRings

MIDNIGHT = 1_779_235_200_000


def bars(first, count, *, finality=Finality.REST_CONFIRMED, price=100.0):
    rows = np.zeros(count, BAR_RECORD)
    rows["open_time_ms"] = MIDNIGHT + MINUTE_MS * (first + np.arange(count))
    for offset, name in enumerate(VALUE_FIELDS):
        rows[name] = price + offset + np.arange(count) % 7
    rows["low"], rows["high"] = rows["open"] - 1.0, rows["close"] + 1.0
    rows["finality"], rows["source"] = finality, Source.STREAM
    return rows


async def test_what_is_final_is_archived_behind_and_a_correction_too(tmp_path):
    rings, archive = MemoryRings(), BarArchive(tmp_path)
    archiver = Archiver(rings, archive, 600.0)
    await rings.write({"AUSDT": bars(0, 20), "BUSDT": bars(0, 20, finality=Finality.PROVISIONAL)})
    await archiver.run_once(["AUSDT", "BUSDT"], MIDNIGHT + 20 * MINUTE_MS)
    assert (archiver.written, archiver.newest_ms) == (20, MIDNIGHT + 19 * MINUTE_MS)
    await rings.write({"AUSDT": bars(3, 1, price=50.0)})
    await rings.write({"BUSDT": bars(0, 20)})
    await archiver.run_once(["AUSDT", "BUSDT"], MIDNIGHT + 20 * MINUTE_MS)
    assert archiver.written == 41
    held = archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"]
    assert (held["open"][3], held["reserved"][3]) == (50.0, CORRECTED)


async def test_a_second_archiver_of_a_directory_is_passive(tmp_path):
    rings, archive = MemoryRings(), BarArchive(tmp_path)
    await rings.write({"AUSDT": bars(0, 5)})
    archiver = Archiver(rings, archive, 600.0)
    with _locked(tmp_path, "1m") as is_ours:
        assert is_ours
        await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS)
        assert (archiver.is_passive, archiver.written) == (True, 0)
    await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS)
    assert (archiver.is_passive, archiver.written) == (False, 5)


BOTH = """
import asyncio, sys
from pathlib import Path
import numpy as np
from aione.panel.bars import BAR_RECORD, DAY_MS
from aione.store.archive import BarArchive
from aione.store.archiver import Archiver
from aione.store.rings import MemoryRings

MIDNIGHT = 1_779_235_200_000

async def main():
    archive, archivers = BarArchive(Path(sys.argv[1])), []
    for timeframe in ("1m", "1d"):
        rings, rows = MemoryRings(timeframe), np.ones(1, BAR_RECORD)
        rows["open_time_ms"], rows["finality"], rows["reserved"] = MIDNIGHT, 3, 0
        await rings.write({"AUSDT": rows})
        archivers.append(Archiver(rings, archive, 600.0))
    await asyncio.gather(*(one.run_once(["AUSDT"], MIDNIGHT + DAY_MS) for one in archivers))
    print([(one.timeframe, one.written, one.is_passive) for one in archivers])

asyncio.run(main())
"""


def test_minutes_and_days_are_archived_at_once_by_a_process_that_has_not_yet_loaded_arrow(tmp_path):
    for number in range(3):
        ended = subprocess.run(
            [sys.executable, "-c", BOTH, str(tmp_path / str(number))], capture_output=True, text=True, check=False
        )
        assert ended.stdout.strip() == "[('1m', 1, False), ('1d', 1, False)]", ended.stderr


async def test_a_write_that_fails_is_told_until_one_succeeds(tmp_path, monkeypatch):
    rings = MemoryRings()
    await rings.write({"AUSDT": bars(0, 5)})
    archiver = Archiver(rings, BarArchive(tmp_path), 600.0)
    assert archiver.failed is None

    def refused(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refused)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS)
            assert "No space left on device" in archiver.failed
    assert (archiver.written, archiver.newest_ms) == (0, None)
    await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS)
    assert (archiver.failed, archiver.written, archiver.newest_ms) == (None, 5, MIDNIGHT + 4 * MINUTE_MS)


@pytest.mark.parametrize("back_ms", [DAY_MS + 2 * MINUTE_MS, 40 * DAY_MS, MIDNIGHT])
async def test_a_clock_that_goes_back_is_no_error(tmp_path, back_ms):
    rings = MemoryRings()
    await rings.write({"AUSDT": bars(0, 5)})
    archiver = Archiver(rings, BarArchive(tmp_path), 600.0)
    await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS)
    await archiver.run_once(["AUSDT"], MIDNIGHT + 5 * MINUTE_MS - back_ms)
    assert (archiver.written, archiver.newest_ms) == (5, MIDNIGHT + 4 * MINUTE_MS)
    await rings.write({"AUSDT": bars(5, 1)})
    await archiver.run_once(["AUSDT"], MIDNIGHT + 6 * MINUTE_MS)
    assert archiver.written == 6


async def test_only_the_symbols_that_are_followed_are_remembered_and_others_come_back_whole(tmp_path):
    rings = MemoryRings()
    archiver = Archiver(rings, BarArchive(tmp_path), 600.0)
    await rings.write({f"S{number}USDT": bars(0, 1) for number in range(50)})
    for number in range(50):
        await archiver.run_once([f"S{number}USDT"], MIDNIGHT + MINUTE_MS)
    assert len(archiver._archived_ms) == 1
    await rings.write({"S0USDT": bars(1, 1)})
    await archiver.run_once(["S0USDT"], MIDNIGHT + 2 * MINUTE_MS)
    assert archiver.written == 51


async def test_after_a_broken_day_all_that_the_rings_hold_of_it_is_written_again(tmp_path):
    rings, archive = MemoryRings(), BarArchive(tmp_path)
    await rings.write({"AUSDT": bars(-500, 2000)})
    archiver = Archiver(rings, archive, 600.0)
    await archiver.run_once(["AUSDT"], MIDNIGHT + 1500 * MINUTE_MS)
    yesterday, today, _ = archive.files("1m")
    for path in (yesterday, today):
        path.write_bytes(b"broken")
    await archiver.run_once(["AUSDT"], MIDNIGHT + 1500 * MINUTE_MS)
    assert archive.set_aside == 1, "what no bar of the last day touches is not looked at otherwise"
    await archiver.run_once(["AUSDT"], MIDNIGHT + 1500 * MINUTE_MS)
    assert archive.set_aside == 2
    await archiver.run_once(["AUSDT"], MIDNIGHT + 1500 * MINUTE_MS)
    held = archive.read_now("1m", ["AUSDT"], 0, 1 << 50)["AUSDT"]
    assert held.tobytes() == bars(-500, 2000).tobytes()
