{{/* The name of all objects: that of the release, with that of the chart if it is not in it. */}}
{{- define "triggerhook.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that select the pods: they never change. */}}
{{- define "triggerhook.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "triggerhook.labels" -}}
{{ include "triggerhook.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The Secret with stores, tokens and secrets of webhooks. */}}
{{- define "triggerhook.secret" -}}
{{- .Values.existingSecret | default (include "triggerhook.name" .) }}
{{- end }}
