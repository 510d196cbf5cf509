{{- define "atode.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Selectors never change after the first install, so they hold nothing but these. */}}
{{- define "atode.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "atode.labels" -}}
{{ include "atode.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end -}}

{{- define "atode.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "atode.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Takes (list root image). */}}
{{- define "atode.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $tag := $image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}:{{ $tag }}
{{- end -}}

{{/* The second map over the first, as JSON. Unlike mergeOverwrite, it lets false, 0 and "" take precedence. */}}
{{- define "atode.merge" -}}
{{- $out := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- $old := get $out $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $old) -}}
{{- $_ := set $out $key (include "atode.merge" (list $old $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* All workers as JSON: each entry of `workers` over `workerDefaults`. */}}
{{- define "atode.workers" -}}
{{- $all := dict -}}
{{- range $name, $worker := .Values.workers -}}
{{- $_ := set $all $name (include "atode.merge" (list $.Values.workerDefaults (default dict $worker)) | fromJson) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "atode.anyAutoscaling" -}}
{{- range $name, $worker := include "atode.workers" . | fromJson }}{{ if $worker.autoscaling.enabled }}true{{ end }}{{ end -}}
{{- end -}}

{{/* Mistakes that the schema cannot express. Each message says what to do. */}}
{{- define "atode.validate" -}}
{{- if .Values.auth.enabled }}{{ fail "auth.enabled: this version of atode has no authentication. Put something that authenticates in front of the gateway." }}{{ end -}}
{{- if .Values.ingress.enabled }}{{ fail "ingress.enabled: not available until atode has authentication. Put something that authenticates in front of the gateway." }}{{ end -}}
{{- $redis := .Values.redis.jobqueue -}}
{{- $sentinel := or $redis.sentinel.master $redis.sentinel.addrs -}}
{{- if and (not $redis.addr) (not $sentinel) }}{{ fail "redis.jobqueue.addr: set the address of your Redis, such as redis.data.svc:6379. The chart does not install one." }}{{ end -}}
{{- if and $redis.addr $sentinel }}{{ fail "redis.jobqueue: set either addr or sentinel." }}{{ end -}}
{{- if and $sentinel (not (and $redis.sentinel.master $redis.sentinel.addrs)) }}{{ fail "redis.jobqueue.sentinel: set both master and addrs." }}{{ end -}}
{{- range $name, $worker := include "atode.workers" . | fromJson -}}
{{- $scaling := $worker.autoscaling -}}
{{- if $scaling.enabled -}}
{{- if not $worker.queues }}{{ fail (printf "workers.%s.queues: autoscaling needs the names of the queues." $name) }}{{ end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}{{ fail (printf "workers.%s.autoscaling: minReplicas is above maxReplicas." $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gateway.autoscaling.enabled (gt (int .Values.gateway.autoscaling.minReplicas) (int .Values.gateway.autoscaling.maxReplicas)) }}{{ fail "gateway.autoscaling: minReplicas is above maxReplicas." }}{{ end -}}
{{- end -}}

{{/* The environment of every process, from values. Passwords are files, so they never appear here. */}}
{{- define "atode.redisConfig" -}}
{{- $redis := .Values.redis.jobqueue -}}
APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR: {{ $redis.addr | quote }}
{{- if $redis.sentinel.master }}
APP__CACHE_SERVER__REDIS__JOBQUEUE__SENTINEL__MASTER: {{ $redis.sentinel.master | quote }}
APP__CACHE_SERVER__REDIS__JOBQUEUE__SENTINEL__ADDRS: {{ $redis.sentinel.addrs | toJson | quote }}
{{- end }}
APP__CACHE_SERVER__REDIS__JOBQUEUE__TLS: {{ $redis.tls | quote }}
{{- with $redis.username }}
APP__CACHE_SERVER__REDIS__JOBQUEUE__USERNAME: {{ . | quote }}
{{- end }}
{{- if $redis.existingSecret }}
APP__CACHE_SERVER__REDIS__JOBQUEUE__PASSWORD_FILE: /run/secrets/atode/redis-jobqueue/password
{{- end }}
{{- $cache := .Values.redis.default }}
{{- if $cache.addrs }}
APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS: {{ $cache.addrs | toJson | quote }}
APP__CACHE_SERVER__REDIS__DEFAULT__TLS: {{ $cache.tls | quote }}
{{- with $cache.username }}
APP__CACHE_SERVER__REDIS__DEFAULT__USERNAME: {{ . | quote }}
{{- end }}
{{- if $cache.existingSecret }}
APP__CACHE_SERVER__REDIS__DEFAULT__PASSWORD_FILE: /run/secrets/atode/redis-default/password
{{- end }}
{{- end }}
{{- end -}}

{{/* The data of a ConfigMap, sorted by name. Takes (list root base own): `own` takes precedence over `config`, which takes
     precedence over `base`. */}}
{{- define "atode.config" -}}
{{- $root := index . 0 -}}
{{- $data := dict "APP_ENV" $root.Values.environment -}}
{{- range $layer := list (include "atode.redisConfig" $root | fromYaml) (index . 1) $root.Values.config (index . 2) -}}
{{- range $name, $value := $layer }}{{ $_ := set $data $name $value }}{{ end -}}
{{- end -}}
{{- range $name, $value := $data }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "atode.gatewayConfig" -}}
{{- $gateway := .Values.gateway -}}
{{- $base := dict
  "APP__SERVER__HOST" "0.0.0.0"
  "APP__SERVER__PORT" "8080"
  "APP__SERVER__SHUTDOWN_DELAY" (printf "%ds" (int $gateway.shutdownDelaySeconds))
  "APP__SERVER__SHUTDOWN_TIMEOUT" (printf "%ds" (int $gateway.shutdownTimeoutSeconds))
  "APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE" (int $gateway.rateLimit.requestsPerMinute)
  "APP__API__RATE_LIMIT__REQUESTS_PER_HOUR" (int $gateway.rateLimit.requestsPerHour)
  "APP__API__RATE_LIMIT__TRUSTED_PROXIES" (int $gateway.rateLimit.trustedProxies) -}}
{{- include "atode.config" (list . $base $gateway.config) | trim -}}
{{- end -}}

{{/* Takes (list root worker). */}}
{{- define "atode.workerConfig" -}}
{{- $root := index . 0 -}}
{{- $worker := index . 1 -}}
{{- $base := dict
  "APP__WORKER__HOST" "0.0.0.0"
  "APP__WORKER__PORT" "8082"
  "APP__WORKER__CONCURRENCY" (int $worker.concurrency)
  "APP__WORKER__SHUTDOWN_TIMEOUT" (printf "%ds" (int $worker.shutdownTimeoutSeconds)) -}}
{{- range $queue, $weight := $worker.queues -}}
{{- $_ := set $base (printf "APP__WORKER__QUEUES__%s" ($queue | upper)) (int $weight) -}}
{{- end -}}
{{- include "atode.config" (list $root $base $worker.config) | trim -}}
{{- end -}}

{{- define "atode.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532             # the files of a Secret belong to this group
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "atode.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Takes (list root constraints selector). matchLabelKeys makes a rollout spread its new pods among themselves. */}}
{{- define "atode.spread" -}}
{{- $given := index . 1 -}}
{{- if $given -}}
{{ toYaml $given }}
{{- else -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- index $ 2 | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
{{- end -}}

{{/* Whole folders are mounted, so that a changed Secret arrives without a restart. */}}
{{- define "atode.secretMounts" -}}
{{- if .Values.redis.jobqueue.existingSecret }}
- name: redis-jobqueue
  mountPath: /run/secrets/atode/redis-jobqueue
  readOnly: true
{{- end }}
{{- if and .Values.redis.default.addrs .Values.redis.default.existingSecret }}
- name: redis-default
  mountPath: /run/secrets/atode/redis-default
  readOnly: true
{{- end }}
{{- end -}}

{{- define "atode.secretVolumes" -}}
{{- range $name := list "jobqueue" "default" }}
{{- $redis := index $.Values.redis $name }}
{{- if and $redis.existingSecret (or (eq $name "jobqueue") $redis.addrs) }}
- name: redis-{{ $name }}
  secret:
    secretName: {{ $redis.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ $redis.passwordKey }}
        path: password
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings of a pod that are the same for gateways and workers. Takes the values of one of them. */}}
{{- define "atode.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
