"""Checks rendered Kubernetes manifests: check_kubernetes.py FOLDER CRDS. scripts/check-kubernetes.sh runs it.

1. Objects of Kubernetes fit the schemas of its oldest and newest version that we support.
2. Objects of KEDA and of the Prometheus operator fit the definitions of an old and a new version (CRDS/OPERATOR-VERSION/*.yaml).
3. The rules of docs/deploy.md hold: nothing is exposed, pods are restricted, grace periods are long enough, and
   references point at something.
4. The settings are accepted by the programs themselves, if these are built (`--check-config`).
5. Chart and kustomize run the same pods.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

VERSIONS = ("1.31", "1.37")
ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = pathlib.Path(os.environ.get("ATODE_BIN_DIR", ROOT / "target/debug"))

problems = []


def problem(where, text):
    problems.append(f"{where}: {text}")


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def seconds(duration):
    assert duration.endswith("s") and duration[:-1].isdigit(), f"{duration} is not in seconds"
    return int(duration[:-1])


def is_selected(selector, labels):
    """Whether a label selector selects these labels. An empty selector selects everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In", rule
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def check_schema(where, document):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            problem(where, f"does not fit Kubernetes {version}: {path}: {error.message}")


def closed(schema):
    """The schema of a definition, which allows no other fields. The API server drops those without a word."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            schema[part] = closed(schema[part])
    return schema


def read_definitions(folder):
    """By apiVersion and kind, the validators of each version of its operator."""
    found = {}
    for file in sorted(folder.glob("*/*.yaml")):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            validator = jsonschema.Draft202012Validator(closed(version["schema"]["openAPIV3Schema"]))
            kind = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
            found.setdefault(kind, []).append((file.parent.name, validator))
    return found


def check_definitions(where, document, validators):
    for version, validator in validators:
        for error in validator.iter_errors(document):
            path = ".".join(str(part) for part in error.path)
            problem(where, f"does not fit its definition of {version}: {path}: {error.message}")


def check_scaled_object(where, document, documents):
    spec = document["spec"]
    for key in ("minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "fallback", "advanced"):
        if key not in spec:
            problem(where, f"has no {key}")
    # The behavior goes into a HorizontalPodAutoscaler as it is, so the schema of that kind applies.
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "behavior"},
        "spec": {
            "maxReplicas": spec["maxReplicaCount"],
            "scaleTargetRef": {"kind": "Deployment", "name": spec["scaleTargetRef"]["name"]},
            **spec["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }
    check_schema(where, autoscaler)
    targets = [d for d in of_kind(documents, "Deployment") if d["metadata"]["name"] == spec["scaleTargetRef"]["name"]]
    if not targets:
        problem(where, "its target does not exist")
    for target in targets:
        if "replicas" in target["spec"]:
            problem(where, "its target has a number of replicas, which each deploy would reset")
    if not 0 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]:
        problem(where, "minReplicaCount is above maxReplicaCount")
    addresses = {
        f"http://{service['metadata']['name']}.{service['metadata'].get('namespace', 'atode')}.svc:{port['port']}/"
        for service in of_kind(documents, "Service")
        for port in service["spec"]["ports"]
    }
    fields = {}
    for trigger in spec["triggers"]:
        metadata = trigger["metadata"]
        if set(metadata) - {"activationTargetValue"} != {"url", "valueLocation", "targetValue"}:
            problem(where, f"{trigger['name']}: unexpected metadata {sorted(metadata)}")
        if trigger["type"] != "metrics-api" or trigger["metricType"] not in ("AverageValue", "Value"):
            problem(where, f"unexpected trigger {trigger}")
        if not any(metadata["url"].startswith(address) for address in addresses):
            problem(where, f"{trigger['name']}: no Service has the address {metadata['url']}")
        fields.setdefault(metadata["url"], []).append(metadata["valueLocation"])
    names = [trigger["name"] for trigger in spec["triggers"]]
    if len(names) != len(set(names)):
        problem(where, "two triggers have the same name")
    for url, found in fields.items():
        if sorted(found) != ["active", "oldest_ready_age_seconds", "ready", "unfinished"]:
            problem(where, f"{url}: unexpected fields {found}")


def check_service_monitor(where, document, documents):
    spec = document["spec"]
    for endpoint in spec["endpoints"]:
        found = [
            service
            for service in of_kind(documents, "Service")
            if is_selected(spec["selector"], service["metadata"].get("labels", {}))
            and any(port["name"] == endpoint["port"] for port in service["spec"]["ports"])
        ]
        if len(found) != 1:
            problem(where, f"the port {endpoint['port']} is of {len(found)} Services, not of one")


def check_pods(where, document):
    spec = document["spec"]["template"]["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        problem(where, "its pods get a token")
    if not spec["securityContext"].get("runAsNonRoot"):
        problem(where, "its pods may run as root")
    if spec["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
        problem(where, "its pods have no seccomp profile")
    for container in spec["containers"]:
        context = container.get("securityContext", {})
        if context != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }:
            problem(where, f"the container {container['name']} has another securityContext")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            problem(where, f"the container {container['name']} has no limit of memory")
        if ":" not in container["image"]:
            problem(where, f"the image {container['image']} has no tag")


def environment_of(deployment, documents):
    """The environment of the first container."""
    maps = {d["metadata"]["name"]: d.get("data", {}) for d in of_kind(documents, "ConfigMap")}
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    environment = {}
    for source in container["envFrom"]:
        environment |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        environment[variable["name"]] = variable["value"]
    return environment


def check_process(where, document, documents):
    """A Deployment of gateways or workers."""
    spec = document["spec"]["template"]["spec"]
    container = spec["containers"][0]
    environment = environment_of(document, documents)
    if spec["securityContext"].get("runAsUser") != 65532:
        problem(where, "its pods run as another user than the image")
    if container["name"] == "api-gateway":
        needed = sum(seconds(environment[f"APP__SERVER__SHUTDOWN_{name}"]) for name in ("DELAY", "TIMEOUT"))
        port = "8080" if environment["APP__SERVER__HOST"] == "0.0.0.0" else None
        set_port = environment["APP__SERVER__PORT"]
    else:
        needed = seconds(environment["APP__WORKER__SHUTDOWN_TIMEOUT"])
        port = "8082" if environment["APP__WORKER__HOST"] == "0.0.0.0" else None
        set_port = environment["APP__WORKER__PORT"]
    if set_port != port or container["ports"][0]["containerPort"] != int(set_port):
        problem(where, "it does not listen where its port says")
    if spec["terminationGracePeriodSeconds"] < needed + 10:
        problem(where, f"the grace period is below {needed} + 10 s")
    for probe, path in {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}.items():
        if container[probe]["httpGet"]["path"] != path:
            problem(where, f"the {probe} must ask {path}")
    labels = document["spec"]["template"]["metadata"]["labels"]
    for constraint in spec["topologySpreadConstraints"]:
        if not is_selected(constraint["labelSelector"], labels):
            problem(where, "a topologySpreadConstraint does not select its pods")
    mounted = {volume["name"] for volume in spec.get("volumes", [])}
    if {mount["name"] for mount in container.get("volumeMounts", [])} != mounted:
        problem(where, "volumes and mounts do not agree")
    for key, value in environment.items():
        if key.endswith("PASSWORD_FILE"):
            folders = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if str(pathlib.PurePath(value).parent) not in folders:
                problem(where, f"nothing is mounted at {value}")
    check_config(where, container["name"], environment)


def check_config(where, program, environment):
    binary = PROGRAMS / program
    if not binary.exists():
        skipped.add(program)
        return
    with tempfile.NamedTemporaryFile("w") as password:
        password.write("secret")
        password.flush()
        given = {k: password.name if k.endswith("PASSWORD_FILE") else v for k, v in environment.items()}
        command = [binary, "--check-config", "--config-dir", ROOT / "config"]
        answer = subprocess.run(command, env=given, capture_output=True, text=True, timeout=30)
    if answer.returncode != 0:
        problem(where, f"the program refuses the settings: {(answer.stderr or answer.stdout).strip()}")


def check_network_policy(where, document):
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in document["spec"].get(direction, []):
            if peers in rule and not rule[peers]:
                problem(where, f"an empty list `{peers}` allows everybody")
            if direction == "ingress" and peers not in rule:
                problem(where, "a rule of ingress without `from` allows everybody")
            if not rule.get("ports"):
                problem(where, f"a rule of {direction} has no ports")


def check_file(file):
    documents = [document for document in yaml.safe_load_all(file.read_text()) if document]
    workloads = of_kind(documents, "Deployment") + of_kind(documents, "StatefulSet")
    seen = set()
    for document in documents:
        where = f"{file.stem}: {name_of(document)}"
        if name_of(document) in seen:
            problem(where, "exists twice")
        seen.add(name_of(document))
        kind = document["kind"]
        if validators := definitions.get((document["apiVersion"], kind)):
            check_definitions(where, document, validators)
        else:
            check_schema(where, document)
        if kind == "ScaledObject":
            check_scaled_object(where, document, documents)
        elif kind == "ServiceMonitor":
            check_service_monitor(where, document, documents)
        elif kind == "NetworkPolicy":
            check_network_policy(where, document)
        elif kind in ("Deployment", "StatefulSet"):
            check_pods(where, document)
            if kind == "Deployment":
                check_process(where, document, documents)
        elif kind in ("Service", "PodDisruptionBudget"):
            selector = document["spec"]["selector"]
            if kind == "Service":
                selector = {"matchLabels": selector}
                if document["spec"]["type"] != "ClusterIP":
                    problem(where, "is reachable from outside the cluster")
            selected = [w for w in workloads if is_selected(selector, w["spec"]["template"]["metadata"]["labels"])]
            if not selected or (kind == "PodDisruptionBudget" and len(selected) > 1):
                problem(where, f"selects {[name_of(w) for w in selected]}")
        elif kind in ("Ingress", "Gateway", "HTTPRoute", "Secret"):
            problem(where, "must not be here")
    return documents


def shared_part(documents, component):
    """All about the pods of a component that chart and kustomize must agree on."""
    deployment = next(
        d
        for d in of_kind(documents, "Deployment")
        if d["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    environment = environment_of(deployment, documents)
    prefix = ("APP__SERVER__", "APP__API__") if component == "api-gateway" else "APP__WORKER__"
    return {
        "environment": {k: v for k, v in environment.items() if k.startswith(prefix)},
        **{key: spec.get(key) for key in ("replicas", "strategy", "minReadySeconds")},
        **{key: pod.get(key) for key in ("terminationGracePeriodSeconds", "securityContext", "enableServiceLinks")},
        "spread": [{k: v for k, v in c.items() if k != "labelSelector"} for c in pod["topologySpreadConstraints"]],
        "container": {
            k: v for k, v in container.items() if k not in ("env", "envFrom", "volumeMounts")
        },
    }


def check_agreement(chart, kustomize):
    for component in ("api-gateway", "worker"):
        left, right = shared_part(chart, component), shared_part(kustomize, component)
        for key in left:
            if left[key] != right[key]:
                problem("chart and kustomize differ", f"{component}: {key}: {left[key]} and {right[key]}")
    left, right = [
        next(d["spec"]["unhealthyPodEvictionPolicy"] for d in of_kind(documents, "PodDisruptionBudget"))
        for documents in (chart, kustomize)
    ]
    if left != right:
        problem("chart and kustomize differ", f"PodDisruptionBudget: {left} and {right}")


def check_autoscaler_agreement(chart, kustomize):
    left, right = [
        next(d["spec"] for d in of_kind(documents, "ScaledObject") if "default" in d["spec"]["triggers"][0]["name"])
        for documents in (chart, kustomize)
    ]
    for key in set(left) - {"scaleTargetRef", "maxReplicaCount"}:
        if left[key] != right.get(key):
            problem("chart and kustomize differ", f"ScaledObject: {key}: {left[key]} and {right.get(key)}")


skipped = set()
definitions = read_definitions(pathlib.Path(sys.argv[2]))
files = sorted(pathlib.Path(sys.argv[1]).glob("*.yaml"))
rendered = {file.stem: check_file(file) for file in files}
check_agreement(rendered["helm-minimal"], rendered["kustomize-staging"])
check_autoscaler_agreement(rendered["helm-production"], rendered["kustomize-production"])
for text in problems:
    print(text, file=sys.stderr)
for program in sorted(skipped):
    print(f"{PROGRAMS / program} is not built: its settings were not checked")
if problems or not files:
    sys.exit(1)
count = sum(len(documents) for documents in rendered.values())
targets = [f"Kubernetes {version}" for version in VERSIONS]
targets += sorted({version for validators in definitions.values() for version, _ in validators})
print(f"{count} objects in {len(files)} renderings fit {', '.join(targets)}")
