"""What docs/ says about the code is true."""

from __future__ import annotations

import re
from pathlib import Path

from hub.management.commands import write_docs

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_documents_say_of_states_and_endpoints_is_what_the_code_has() -> None:
    pages = write_docs.written()

    assert {page: page.read_text() for page in pages} == pages


def test_every_state_machine_is_in_the_architecture() -> None:
    sides = ("ocpi", "hub", "cpo", "emsp")
    files = {str(path.relative_to(ROOT)) for side in sides for path in ROOT.glob(f"{side}/*_states.py")}
    tables = {file for file in files if re.search(r"transitions\.Table", (ROOT / file).read_text())}

    assert tables == {name.rpartition(".")[0].replace(".", "/") + ".py" for name in write_docs.MACHINES}


def test_the_readme_stays_short_and_names_the_two_commands_first() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= 120
    commands = [line for line in lines if line.startswith("make ")]
    assert [line.split()[1] for line in commands[:2]] == ["demo", "test"]


def test_every_link_of_the_documents_leads_somewhere() -> None:
    links = [
        (page, target)
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]

    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()] == []
