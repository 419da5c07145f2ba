// The dashboards that are shipped, with what `_config` says. They are made by ops/dashboards: change them there.
{
  local config = $._config,

  local variable(one) =
    if one.name == 'docs_url' then one { query: config.docsUrl } else one,

  local link(one) =
    if one.type == 'dashboards' then one { tags: [config.dashboardTags[0]] } else one,

  local configured(dashboard) = dashboard {
    tags: config.dashboardTags,
    refresh: config.dashboardRefresh,
    time+: { from: config.dashboardPeriod },
    links: [link(one) for one in dashboard.links],
    templating+: { list: [variable(one) for one in dashboard.templating.list] },
  },

  grafanaDashboardFolder:: 'callworker',

  grafanaDashboards+:: {
    'callworker-overview.json': configured(import '../grafana/dashboards/overview.json'),
    'callworker-account.json': configured(import '../grafana/dashboards/account.json'),
    'callworker-worker.json': configured(import '../grafana/dashboards/worker.json'),
    'callworker-capacity.json': configured(import '../grafana/dashboards/capacity.json'),
    'callworker-webhooks.json': configured(import '../grafana/dashboards/webhooks.json'),
  },
}
