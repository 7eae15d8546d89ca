"""
`/reports`: the finance reports in the browser, behind a key.

They show what all tenants cost, so a key opens them only if it was created for that. A browser asks for it as a
password, whatever the name. On a server without keys they are for the users of its own machine.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from jinja2 import Environment, PackageLoader

from twopass.config import Config
from twopass.cost.prices.cards import Cards
from twopass.errors import ConfigError
from twopass.gateway.doors import Doors
from twopass.gateway.problems import Problem

_MEDIA = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'"
"""A report has its styles in itself, and neither scripts nor anything from elsewhere."""
_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"


async def _guarded(request: Request) -> None:
    doors: Doors = request.app.state.doors
    doors.check_reports(request)
    if request.app.state.config.ledger.url is None:
        fix = "Whoever runs the server can name one in its configuration: ledger: {url: …}."
        raise ConfigError("This server keeps no ledger.", code="no_ledger", fix=fix)


router = APIRouter(dependencies=[Depends(_guarded)], responses={401: {"model": Problem}, 404: {"model": Problem}})
_MonthQuery = Annotated[str | None, Query(pattern=_MONTH, description="2026-11; default: this month (UTC).")]


@router.get("/reports", include_in_schema=False)
async def contents(month: _MonthQuery = None) -> Response:
    """Which reports there are."""
    from twopass.cost.reports.files import REPORTS, read

    template = _templates().get_template("reports.html.j2")
    page = template.render(month=month or f"{_today():%Y-%m}", reports=list(map(read, (*REPORTS, "self_hosting"))))
    return Response(page, media_type=_MEDIA["html"], headers={"Content-Security-Policy": _POLICY})


@router.get("/reports/{name}", response_class=Response)
async def report(
    request: Request,
    name: str,
    month: _MonthQuery = None,
    format: Annotated[str, Query(pattern="^(html|csv|xlsx|json)$")] = "html",  # noqa: A002 - the API's name
) -> Response:
    """One report of a month."""
    state = request.app.state
    shown = month or f"{_today():%Y-%m}"
    data = await asyncio.to_thread(partial(_made, state.config, state.cards, name, shown, format))
    headers = {"Content-Security-Policy": _POLICY}
    if format in ("csv", "xlsx"):
        headers["Content-Disposition"] = f'attachment; filename="{name}-{shown}.{format}"'
    return Response(data, media_type=_MEDIA[format], headers=headers)


def _made(config: Config, cards: Cards, name: str, month: str, form: str) -> bytes:
    # Here: they take a while to import, and most servers are never asked for a report.
    from twopass.cost.ledger.book import Ledger
    from twopass.cost.reports.rendering import Output, render
    from twopass.cost.reports.report import Asked, Month, run
    from twopass.cost.reports.self_hosting import Plan
    from twopass.cost.reports.self_hosting_report import REPORT, ask

    assert config.ledger.url is not None
    asked = Asked(Month.parse(month), _today(), config.ledger.settings.budgets, cards.fees(month))
    ledger = Ledger.open(config.ledger.url)
    try:
        ledger.charge(cards, config.ledger.currency, month)
        prices = run("prices", ledger, asked) if form == "html" else None
        if name == REPORT:
            made = ask(ledger, cards, Plan(), asked.month, config.ledger.currency)
        else:
            made = run(name, ledger, asked)
        return render([made], Output(form), prices)
    finally:
        ledger.close()


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("twopass.gateway"), autoescape=True)


def _today() -> date:
    return datetime.now(UTC).date()
