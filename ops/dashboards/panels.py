"""What a panel of each kind looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = stat.Panel | timeseries.Panel | heatmap.Panel | table.Panel
Steps = Mapping[float | None, str]
"""Colours by the value from which on they hold. `None` is below all others."""

SOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOK = "${docs_url}/how-to/alerts.html#"
NO_DATA = "no data"
CALM: Steps = {None: "green", 1: "orange"}
"""For a count of what is wrong."""
NEUTRAL: Steps = {None: "blue"}


def tile(
    title: str,
    text: str,
    query: str,
    steps: Steps,
    alerts: Sequence[str] = (),
    *,
    unit: str = "short",
    words: Mapping[int, tuple[str, str]] | None = None,
) -> stat.Panel:
    """One figure of this moment on a coloured ground. Without data it is red, unless it is neutral.

    `words` are shown in place of a value, each with its colour. `alerts` are those whose runbooks it leads to.
    """
    silent = "red" if "green" in steps.values() else "text"
    panel = stat.Panel().title(title).description(text).datasource(SOURCE).height(3).span(3).unit(unit)
    panel = panel.thresholds(_thresholds(steps)).no_value(NO_DATA).mappings(_mappings(words or {}, silent))
    panel = panel.color_mode(shapes.BigValueColorMode.BACKGROUND).graph_mode(shapes.BigValueGraphMode.NONE)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).links(_links(alerts))
    return panel.with_target(_query("A", query, instant=True))


def lines(
    title: str,
    text: str,
    unit: str,
    queries: Mapping[str, str],
    alerts: Sequence[str] = (),
    *,
    stacked: bool = False,
    marks: Steps | None = None,
    top: float | None = None,
) -> timeseries.Panel:
    """Curves over time: `queries` by legend. `marks` are lines across the panel, `top` is the end of its scale."""
    panel = timeseries.Panel().title(title).description(text).datasource(SOURCE).height(8).span(8)
    panel = panel.unit(unit).min(0).fill_opacity(30 if stacked else 8).line_width(1.5).no_value(NO_DATA)
    panel = panel.show_points(shapes.VisibilityMode.NEVER).legend(_legend()).links(_links(alerts))
    panel = panel.tooltip(
        common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING)
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    if marks:
        style = common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds({None: "transparent", **marks})).thresholds_style(style)
    if top is not None:
        panel = panel.max(top)
    for letter, (legend, query) in zip("ABCDEFGH", queries.items(), strict=False):
        panel = panel.with_target(_query(letter, query).legend_format(legend))
    return panel


def logarithmic(panel: timeseries.Panel, least: float, most: float) -> timeseries.Panel:
    """Give a panel of curves a scale that shows very different sizes, from `least` to `most` or more."""
    scale = common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10)
    return panel.scale_distribution(scale).min(least).axis_soft_max(most)


def heat(title: str, text: str, buckets: str, alerts: Sequence[str] = ()) -> heatmap.Panel:
    """How many observations fell into each bucket of a histogram, over time: `buckets` is the name of its series."""
    query = f"sum by (le) (increase({buckets}[$__rate_interval]))"
    panel = heatmap.Panel().title(title).description(text).datasource(SOURCE).height(8).span(8).unit("short")
    panel = panel.calculate(False).cell_gap(1).no_value(NO_DATA).links(_links(alerts)).y_axis(_seconds())
    panel = panel.color(_heat_colours())
    return panel.with_target(_query("A", query).legend_format("{{le}}").format(PromQueryFormat.HEATMAP))


def listing(
    title: str,
    text: str,
    unit: str,
    query: str,
    link: tuple[str, str],
    alerts: Sequence[str] = (),
) -> table.Panel:
    """A table of this moment's series, highest first. `link` is the title and address that each row leads to."""
    panel = table.Panel().title(title).description(text).datasource(SOURCE).height(8).span(8).unit(unit)
    panel = (
        panel.no_value(NO_DATA)
        .links(_links(alerts))
        .data_links([dashboard.DashboardLink(link[0]).url(link[1])])
    )
    panel = panel.sort_by([common.TableSortByFieldState().display_name("Value").desc(True)])
    panel = panel.with_transformation(
        models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
    )
    return panel.with_target(_query("A", query, instant=True).format(PromQueryFormat.TABLE))


def _query(letter: str, query: str, *, instant: bool = False) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(letter).expr(query).datasource(SOURCE)
    return made.instant() if instant else made.range()


def _links(alerts: Sequence[str]) -> list[Builder[models.DashboardLink]]:
    return [
        dashboard.DashboardLink(f"{alert}: what to do")
        .type(models.DashboardLinkType.LINK)
        .url(RUNBOOK + alert.lower())
        .target_blank(True)
        for alert in alerts
    ]


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value, colour) for value, colour in steps.items()]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _mappings(words: Mapping[int, tuple[str, str]], silent: str) -> list[models.ValueMapping]:
    """Return those of values to words, and that of no value, which takes the colour `silent`."""
    nothing = models.DashboardSpecialValueMapOptions(
        models.SpecialValueMatch.NULL_AND_NAN, models.ValueMappingResult(NO_DATA, silent, index=len(words))
    )
    named = {
        str(value): models.ValueMappingResult(word, colour, index=n)
        for n, (value, (word, colour)) in enumerate(words.items())
    }
    return [*([models.ValueMap(named)] if named else []), models.SpecialValueMap(nothing)]


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(shapes.LegendDisplayMode.LIST)
    return legend.placement(shapes.LegendPlacement.BOTTOM).calcs([])


def _seconds() -> heatmap.YAxisConfig:
    return heatmap.YAxisConfig().unit("s").axis_placement(shapes.AxisPlacement.LEFT)


def _heat_colours() -> heatmap.HeatmapColorOptions:
    return heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
