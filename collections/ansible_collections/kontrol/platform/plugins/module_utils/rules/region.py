"""Rules of the block `region`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import limits, schedules
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.rules import Block

REQUIRES: tuple[str, ...] = ()

PATTERNS: Final = {
    # It becomes part of names of clusters, containers, namespaces and buckets: 63 characters with what is added.
    "name": (
        "^(?=.{1,20}$)[a-z]([a-z0-9-]*[a-z0-9])?$",
        "a DNS label of at most 20 characters (a-z, 0-9 and -, first a letter, last not -)",
    ),
    # It becomes part of a path below profiles/.
    "profile": ("^[a-z][a-z0-9_]*$", "the name of a file in profiles/ without .yml"),
    "market": ("^[A-Z]{2}$", "the two capitals of an ISO 3166-1 country code, such as BR"),
}

RESERVED: Final = frozenset({"all", "localhost", "regions", "ungrouped"})
"""Names with a meaning of their own in an Ansible inventory."""

_COUNTRIES: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES: Final = frozenset(_COUNTRIES.split())
"""ISO 3166-1 alpha-2, the officially assigned codes."""

DATABASES: Final = ("clickhouse", "neo4j")
TARGET_MINUTES: Final = (1, 527_040)
"""Bounds of both targets: a year, at most."""
USUAL_RPO_MINUTES: Final = 1560
"""The default of `rpo_minutes`: who names another one wants it to be kept."""


def rules(block: Block, region: dict[str, Block]) -> list[Problem]:
    """Return the problems of the region's own block, and of the backups that its targets are about."""
    problems = [
        *limits.between("region", block, "rpo_minutes", TARGET_MINUTES, "minutes"),
        *limits.between("region", block, "rto_minutes", TARGET_MINUTES, "minutes"),
        *(problem for name in DATABASES if name in region for problem in _backed_up(block, name, region[name])),
    ]
    if block["name"] in RESERVED:
        message = "The name has a meaning in Ansible"
        problems.append(Problem("", "region.name", block["name"], message, "choose another"))
    if block["market"] is not None and block["market"] not in COUNTRIES:
        message = "No country has this ISO 3166-1 code"
        problems.append(Problem("", "region.market", block["market"], message))
    return problems


def _backed_up(block: Block, name: str, database: Block) -> list[Problem]:
    """Return the problems of a database's schedule, by itself and with the target that it must serve."""
    schedule, target = database.get("backup_schedule"), block["rpo_minutes"]
    if schedule is None:
        return []
    path = f"{name}.backup_schedule"
    if not schedule:
        message = f"Expected a schedule: without one nothing keeps the RPO target of {target} minutes"
        return [Problem("", path, schedule, message)] if target != USUAL_RPO_MINUTES else []
    try:
        gap = schedules.longest_gap(schedule)
    except schedules.ScheduleError as error:
        message = f'Expected five fields of cron in UTC such as "0 3 * * *", or nothing: {error}'
        return [Problem("", path, schedule, message)]
    least = gap + database["backup_timeout"]
    if target >= least:
        return []
    message = (
        f'Expected at least {least:.0f} minutes: backups of {name} ("{schedule}") are up to {gap:.0f} minutes apart, '
        f"and one may take {database['backup_timeout']}"
    )
    return [Problem("", "region.rpo_minutes", target, message)]
