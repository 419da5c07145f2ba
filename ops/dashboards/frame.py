"""What all dashboards have: variables, links to each other, and annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from grafana_foundation_sdk.builders import dashboard, stat
from grafana_foundation_sdk.models import dashboard as models

from ops.dashboards.panels import SOURCE, Panel

TAG = "callworker"
DOCS_URL = "https://callworker-docs.invalid/docs"
"""Where the documentation is served. Replace it by your own: variable `docs_url` of each dashboard."""

Variable = dashboard.QueryVariable | dashboard.DatasourceVariable | dashboard.ConstantVariable

ALERTS = (
    "Alerts",
    'ALERTS{alertname=~"Callworker.*", alertstate="firing"}',
    "red",
    "{{alertname}} {{account}} {{instance}}",
)
STARTS = (
    "Worker starts",
    "(callworker_build_info unless callworker_build_info offset 1m) or "
    "(changes(process_start_time_seconds[1m]) > 0 and on (job, instance) callworker_build_info)",
    "blue",
    "{{instance}} started",
)
VERSIONS = (
    "New versions",
    "count by (version) (callworker_build_info) unless count by (version) (callworker_build_info offset 5m)",
    "purple",
    "version {{version}}",
)


def assemble(
    name: str, description: str, rows: Mapping[str, Sequence[Panel]], variables: Sequence[Variable] = ()
) -> models.Dashboard:
    """Return the dashboard callworker-`name`. `rows` are panels by the title above them, from left to right."""
    made = (
        dashboard.Dashboard(f"callworker {name}")
        .uid(f"callworker-{name}")
        .description(description)
        .tags([TAG])
    )
    made = made.editable().refresh("15s").time("now-1h", "now").timezone("browser").version(1)
    made = made.tooltip(models.DashboardCursorSync.CROSSHAIR).variables([*_common(), *variables])
    made = made.link(_others()).annotations([_annotation(*each) for each in (ALERTS, STARTS, VERSIONS)])
    numbers = count(1)
    for title, panels in rows.items():
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in _filling(panels):
            made = made.with_panel(panel.id(next(numbers)))
    return made.build()


def _filling(panels: Sequence[Panel]) -> list[Panel]:
    """Widen the last panels where their row would end in a gap; tiles stay as they are."""
    wide = {1: 4, 2: 2}.get(len(panels) % 3, 0) if not isinstance(panels[0], stat.Panel) else 0
    return [*panels[: len(panels) - wide], *(panel.span(12) for panel in panels[len(panels) - wide :])]


def picked(name: str, label: str, query: str, *, several: bool = False) -> dashboard.QueryVariable:
    """A variable whose values are those of a label: one of them, or `several` and at first all."""
    made = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"qryType": 1, "query": query, "refId": name})
    )
    made = made.definition(query).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    made = made.sort(models.VariableSort.ALPHABETICAL_ASC).multi(several).include_all(several)
    if several:
        made = made.all_value(".*").current(
            models.VariableOption(text=["All"], value=["$__all"], selected=True)
        )
    return made


def _common() -> list[Variable]:
    return [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        dashboard.ConstantVariable("docs_url").label("Documentation").value(DOCS_URL),
    ]


def _others() -> dashboard.DashboardLink:
    """Leads to the other dashboards, which show the same time and the same account, worker or endpoint."""
    link = dashboard.DashboardLink("callworker").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True).as_dropdown(False)


def _annotation(name: str, query: str, colour: str, title: str) -> dashboard.AnnotationQuery:
    made = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour)
    return made.expr(query).step("60s").title_format(title)
