{{- define "kbnt.name" -}}
{{- if contains "kbnt" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-kbnt" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kbnt.account" -}}
{{ .Values.serviceAccount.name | default (include "kbnt.name" .) }}
{{- end }}

{{- define "kbnt.selector" -}}
app.kubernetes.io/name: kbnt-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kbnt.labels" -}}
{{ include "kbnt.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What the operator may do where it looks after resources. */}}
{{- define "kbnt.rules" -}}
# To read the resources, and to set the finalizer of those whose topics are deleted with them.
- apiGroups: [kbnt.dev]
  resources: [virtualstocks, orderworkflows]
  verbs: [get, list, watch, patch]
# To report.
- apiGroups: [kbnt.dev]
  resources: [virtualstocks/status, orderworkflows/status]
  verbs: [patch]
# To run the services. They are deleted by Kubernetes' garbage collector, not by the operator.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# To have topics made where Strimzi does not run Kafka, and to read the last words of the pods that could not.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# To give each service an address, an identity without rights, and its settings.
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch]
# To claim the volume on which the services of a resource keep checkpoints, where that is asked for. The garbage collector deletes it with
# its resource, and nothing else does: the operator may delete nobody's volume.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
# To let inventory-service hold the lease by which its pods take turns: each has a role for its own lease. Nobody can give away a
# right that they do not have, so the operator may do with leases what these roles let services do.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles]
  verbs: [get, list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, watch, create, patch]
# To have one pod of a service taken away at a time, where it has several.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# To scale services where that is asked for; by the records that wait where KEDA is installed.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
# To tell what changed; a repeated event is counted up.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What the operator may do where Kafka clusters are. */}}
{{- define "kbnt.kafkaRules" -}}
# To make topics and see how they fare, and to delete those that their owner wants deleted.
- apiGroups: [kafka.strimzi.io]
  resources: [kafkatopics]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
