{{/* Labels of every object. The names of objects do not depend on the release: a cluster has one kube-lvs. */}}
{{- define "labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: kube-lvs
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* By which a component's pods are found. Never changes: selectors are immutable. */}}
{{- define "selector" -}}
app.kubernetes.io/name: kube-lvs
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* An image, of its values and the chart's version. */}}
{{- define "image" -}}
{{- $image := index . 0 }}{{ $root := index . 1 }}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* For pods that speak to the API server: where it is, if not at the cluster's Service. */}}
{{- define "apiServer" -}}
{{- with .Values.apiServer.host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ $.Values.apiServer.port | quote }}
{{- end }}
{{- end }}

{{/* Where the agent listens: only the node itself may ask, unless somebody is to scrape it. */}}
{{- define "agentAddress" -}}
{{- $scraped := .Values.metrics.serviceMonitor.enabled }}
{{- .Values.agent.listen.address | default (ternary "0.0.0.0" "127.0.0.1" $scraped) }}
{{- end }}

{{/* A pod without any rights on its node. */}}
{{- define "unprivilegedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "unprivilegedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
