"""The command `verify-journal`: is the journal what was written, and is it the state?"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fxsocket_server.core.codec import encode
from fxsocket_server.storage.journal.audit import AuditReport, Finding, Unreadable, audit

VERIFY_EXAMPLE = "Example: `fxsocket-server verify-journal --data /var/lib/fxsocket`"

_console = Console(stderr=True)

_INTACT, _DAMAGED, _UNREADABLE = 0, 1, 2


def verify_journal(
    data: Annotated[
        Path,
        typer.Option(envvar="FXSOCKET_DATA", help="Data folder, or a copy of its journal.db."),
    ] = Path("fxsocket-data"),
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
) -> None:
    """Verify every event, and that orders, positions, deals and balances are what they tell.

    Exit code 0: intact; 1: damage was found; 2: the journal cannot be read. The server may run.
    """
    path = data if data.is_file() else data / "journal.db"
    try:
        report = _with_progress(path)
    except Unreadable as error:
        _console.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(_UNREADABLE) from None
    if json:
        sys.stdout.write(encode({"intact": report.is_intact, **_fields(report)}).decode() + "\n")
    else:
        _print(report)
    raise typer.Exit(_INTACT if report.is_intact else _DAMAGED)


def _with_progress(path: Path) -> AuditReport:
    columns = (
        TextColumn("verifying"), BarColumn(), MofNCompleteColumn(),
        TextColumn("events and records"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=_console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("verifying", total=None)
        return audit(path, lambda done, total: bar.update(task, advance=done, total=total))


def _fields(report: AuditReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__struct_fields__}


def _print(report: AuditReport) -> None:
    for account in report.accounts:
        _say(
            f"{account.account_id}: {account.events:,} events, {account.orders:,} orders, "
            f"{account.deals:,} deals, {account.positions:,} positions; head {account.head}"
        )
    for finding in report.findings:
        _say(f"[bold red]damaged[/] {_place(finding)}: {escape(finding.detail)}")
    if report.findings_left_out:
        _say(f"and {report.findings_left_out:,} findings more")
    _say("[bold green]intact[/]" if report.is_intact else "[bold red]not intact[/]")


def _place(finding: Finding) -> str:
    parts = [finding.account_id, finding.seq and f"event {finding.seq}", finding.subject]
    return " ".join(part for part in parts if part)


def _say(line: str) -> None:
    Console().print(line, highlight=False, soft_wrap=True)
