"""Show, write out or check a statement."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import statement_papers, statements
from ocpi.models import Statement


class Command(BaseCommand):
    help = "Show a statement, write it as PDF or CSV, or check it against the CDRs themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="such as 2026-000001")
        parser.add_argument("--pdf", metavar="FILE")
        parser.add_argument("--csv", metavar="FILE")
        parser.add_argument("--check", action="store_true", help="compute it anew from the CDRs")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        row = Statement.objects.filter(number=options["number"]).first()
        if row is None:
            raise CommandError(f"There is no statement {options['number']}.")
        if options["pdf"]:
            Path(options["pdf"]).write_bytes(statement_papers.as_pdf(row))
        if options["csv"]:
            with Path(options["csv"]).open("w", encoding="utf-8", newline="") as file:
                file.writelines(statement_papers.as_csv(row))
        odd = statements.differences(row) if options["check"] else []
        if options["json"]:
            line = {"number": row.number, "cpo": row.creditor, "emsp": row.debtor, "sha256": row.digest,
                    **json.loads(row.figures)}  # fmt: skip
            self.stdout.write(json.dumps(line | ({"ok": not odd, "differences": odd} if options["check"] else {})))
        else:
            self.stdout.writelines(f"{text}\n" for text in statement_papers.said(row))
        if odd:
            raise CommandError(f"{len(odd)} differences, the first: {odd[0]}.")
