"""FIG-15: the owner of the tables edits and deletes in the audit trail and the CDRs; `verify_audit` finds every case.

The owner has switched the triggers off. Each case is drawn from the seed, done, looked at with `manage.py verify_audit`
and taken back, so that each has to be found alone. Every column counts but the audit trail's own key, which says
nothing, and an eMSP's verdict on a CDR, which the program itself writes again. Beside them stands the owner who also
computes the chain anew behind what was done: found by what the witness in Redis noted, and not without it.
"""

from __future__ import annotations

import json
import sys

from tests.figures.figure import Options, Report, say
from tests.figures.place import place
from tests.figures.tamper_tries import Found

CASES, ANEW = 1000, 50
ENTRIES, CDRS = 100, 20  # of each side


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-15", options)
    with place(short=options.short) as here:
        env = {
            "DATABASE_URL": here.database("tamper"),
            "OCPI_SIDES": "cpo,emsp",
            "OCPI_PARTIES": "NL*TNM:CPO,DE*EMS:EMSP",
            "OCPI_SNAPSHOT_LISTEN": "false",
            "OCPI_EXCHANGES": "false",
            "OCPI_WAKE": "false",
            "DJANGO_SETTINGS_MODULE": "hub.settings",
        }
        given = {"seed": options.seed, "entries": ENTRIES, "cdrs": CDRS, "cases": CASES, "anew": ANEW}
        text = here.run([sys.executable, "-m", "tests.figures.tamper_tries"], env, given=json.dumps(given))
    return told(report, Found(**json.loads(text)), CASES, ANEW)


def told(report: Report, found: Found, cases: int, anew: int) -> Report:
    """Hold what was found against the limits."""
    for kind, count in sorted(found.kinds.items()):
        report.add(kind, count, "cases")
    for case in found.missed[:20]:
        say(f"not found: {case}")
    report.add("edits and deletions", sum(found.kinds.values()), least=cases)
    report.add("columns edited", found.columns, least=5 if report.options.short else 30)
    report.add("entries and CDRs they were drawn from", found.rows)
    report.add("not found", len(found.missed), "cases", most=0)
    report.add("found although nothing was done", found.false_alarms, most=0)
    report.add("chain computed anew behind it", found.anew, "cases", least=anew)
    report.add("of these not found with the witness", found.anew_missed, "cases", most=0)
    report.add("of these not found without any witness", found.anew_unseen, "cases")  # what a chain alone cannot tell
    return report
