// The rules that are shipped, with what `_config` says. They are in ops/prometheus: change them there.
{
  local config = $._config,

  local replaced(text, pairs) =
    std.foldl(function(done, pair) std.strReplace(done, pair[0], pair[1]), pairs, text),

  local configured(text) = std.parseYaml(replaced(text, [
    ['{{ $externalLabels.docs_url }}', config.docsUrl],
    ['{{ $externalLabels.grafana_url }}', config.grafanaUrl],
    ['job="callworker"', config.callworkerSelector],
  ])),

  prometheusAlerts+:: configured(importstr '../prometheus/alerts.yml'),

  prometheusRules+:: configured(importstr '../prometheus/recording.yml'),
}
