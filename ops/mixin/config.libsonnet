{
  _config+:: {
    // Where the documentation is served: the folder `docs` of the site that `make docs` builds.
    docsUrl: 'https://callworker-docs.invalid/docs',

    // Where Grafana is, without a slash at the end.
    grafanaUrl: 'http://127.0.0.1:3000',

    // Picks the workers' own scrape job in `up`, for the alert that a worker is down.
    callworkerSelector: 'job="callworker"',

    // Tags of all dashboards. The dashboards link to each other by the first one.
    dashboardTags: ['callworker'],

    // How far back a dashboard looks when it is opened, and how often it asks again.
    dashboardPeriod: 'now-1h',
    dashboardRefresh: '15s',
  },
}
