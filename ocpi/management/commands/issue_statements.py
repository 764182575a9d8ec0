"""Issue the statements of a month between all parties."""

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import clock, statements
from ocpi.headers import Address
from ocpi.models import Statement


class Command(BaseCommand):
    help = "Issue a statement for each pair of parties with CDRs that are in none yet; what was issued stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", metavar="2026-10", help="default: the last month that is over")
        parser.add_argument("--cpo", metavar="NL*TNM", help="only what this CPO is owed")
        parser.add_argument("--emsp", metavar="DE*EMS", help="only what this eMSP owes")
        parser.add_argument("--dry-run", action="store_true", help="only say what they would come to")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        since, until = _month(options["month"])
        cpo, emsp = (_address(options[name], name) for name in ("cpo", "emsp"))
        chosen = [
            pair
            for pair in statements.pairs(until)
            if (cpo is None or pair.cpo.key == cpo.key) and (emsp is None or pair.emsp.key == emsp.key)
        ]
        found = []
        for pair, terms in statements.with_terms(chosen):
            if options["dry_run"]:
                what = statements.preview(pair, until, terms=terms)
                shown = {"cpo": str(pair.cpo), "emsp": str(pair.emsp), "left_out": what.left_out}
                found.append({"number": None, **shown, **what.figures.as_json()})
                continue
            try:
                found.append(_shown(statements.issue(pair, since, until, by="manage.py", terms=terms)))
            except statements.NothingToBill:
                continue
        if options["json"]:
            self.stdout.write(json.dumps({"statements": found}))
            return
        for each in found:
            self.stdout.write(f"{each['number'] or 'would be'}: {each['emsp']} owes {each['cpo']} {each['incl_vat']} "
                              f"{each['currency']} for {each['cdrs']} CDRs and {each['credits']} credits")  # fmt: skip
        if not found:
            self.stdout.write("Nothing is due.")


def _shown(row: Statement) -> dict[str, Any]:
    return {"number": row.number, "cpo": row.creditor, "emsp": row.debtor, "left_out": row.left_out,
            **json.loads(row.figures)}  # fmt: skip


def _month(text: str | None) -> tuple[Any, Any]:
    if not text:
        return statements.month_before(clock.now())
    found = re.fullmatch(r"(\d{4})-(\d\d)", text)
    if found is None or not 1 <= int(found[2]) <= 12:
        raise CommandError("--month: must look like 2026-10")
    since, until = statements.month(int(found[1]), int(found[2]))
    if until > clock.now():
        raise CommandError(f"--month: {text} is not over yet")
    return since, until


def _address(text: str | None, name: str) -> Address | None:
    if not text:
        return None
    country_code, _, party_id = text.partition("*")
    if len(country_code) != 2 or len(party_id) != 3:
        raise CommandError(f"--{name}: must look like NL*TNM")
    return Address(country_code, party_id)
