{{- define "callworker.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "callworker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "callworker.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "callworker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "callworker.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "callworker.accountsConfigMap" -}}
{{- if eq (empty .Values.accounts.toml) (empty .Values.accounts.existingConfigMap) -}}
{{- fail "accounts: set either accounts.toml, the text of the accounts file, or accounts.existingConfigMap, a ConfigMap that has it under the key accounts.toml" -}}
{{- end -}}
{{- .Values.accounts.existingConfigMap | default (printf "%s-accounts" (include "callworker.name" .)) -}}
{{- end -}}
