"""Clock, temperature, name and memory, where the system reports them."""

from __future__ import annotations

from pathlib import Path

from edgevision.system.machine import (
    Machine,
    clock_mhz,
    memory_mb,
    peak_memory_mb,
    temperature_c,
)


def test_clock_and_temperature_are_read_where_the_system_reports_them(tmp_path: Path) -> None:
    assert clock_mhz(tmp_path) is None
    assert temperature_c(tmp_path) is None
    for core, khz in enumerate(("1000000", "3000000", "unknown")):
        folder = tmp_path / f"devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(khz)
    for zone, value in enumerate(("41500", "63000")):
        folder = tmp_path / f"class/thermal/thermal_zone{zone}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(value)
    assert clock_mhz(tmp_path) == 2000.0
    assert temperature_c(tmp_path) == 63.0


def test_the_machine_has_a_name_and_the_process_some_memory() -> None:
    assert Machine.this().processor
    assert Machine.this().cores >= 1
    assert 1 < memory_mb() <= peak_memory_mb()
