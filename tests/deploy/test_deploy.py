"""What runs the program elsewhere: schemas where there are any, and that all of it names what the image and the program have."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from notifier import app
from notifier.cli import main
from notifier.cli_options import CONFIG
from notifier.store.store import Store
from notifier.web.access import OPEN
from notifier.web.health import Health
from notifier.web.server import Web

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "config"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GOES_AWAY_WITHIN = 8
"""Seconds that a stop takes at the most."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path.read_text()))


@pytest.fixture
def compose() -> dict[str, Any]:
    return documents(DEPLOY / "compose.yaml")[0]


@pytest.fixture
def manifests() -> dict[str, dict[str, Any]]:
    found = documents(DEPLOY / "kubernetes" / "deployment.yaml") + documents(DEPLOY / "kubernetes" / "secret.example.yaml")
    return {each["kind"]: each for each in found}


def option_variable() -> str:
    """The environment variable that the commands take their configuration from."""

    @CONFIG
    def command(path: Path) -> None:
        raise NotImplementedError

    (option,) = command.__click_params__  # type: ignore[attr-defined]  # click's own
    assert isinstance(option, click.Option)
    return str(option.envvar)


def routes() -> set[str]:
    """What the web room answers."""
    web = Web(Store("sqlite://"), host="127.0.0.1", port=0, token=None, health=lambda: Health(alive=True), retried=print)
    runner_app = web._runner.app
    return {str(route.resource.canonical) for route in runner_app.router.routes() if route.resource is not None}


def image_user() -> int:
    found = re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    assert f"--uid {found[1]} " in DOCKERFILE
    return int(found[1])


def test_the_compose_file_is_one_by_its_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    found = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_manifests_are_ones_by_kubernetes_own_schemas(manifests: Mapping[str, dict[str, Any]]) -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed: the manifests' schemas are NOT checked")
    import kubernetes_validate  # noqa: PLC0415 - it takes 100 MB, so few have it

    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_compose_runs_what_the_image_has_under_its_limits(compose: Mapping[str, Any]) -> None:
    service = compose["services"]["notifier"]
    assert (DEPLOY / service["build"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    assert 'ENTRYPOINT ["notifier"]' in DOCKERFILE
    assert service["command"][0] in main.commands
    assert int(service["user"]) == image_user()
    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])  # noqa: S108 - read, not used
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["deploy"]["resources"]["limits"] == {"memory": "300M", "pids": 64}
    assert int(service["stop_grace_period"].removesuffix("s")) > GOES_AWAY_WITHIN
    assert service["environment"] == {option_variable(): service["configs"][0]["target"]}
    assert f"{option_variable()}={service['configs'][0]['target']}" in DOCKERFILE
    for name, each in compose["services"].items():
        assert set(each.get("secrets", ())) <= set(compose["secrets"]), name
        assert {config["source"] for config in each.get("configs", ())} <= set(compose["configs"]), name
        assert set(each.get("depends_on", ())) <= set(compose["services"]), name


def test_composes_configuration_is_good_and_the_proxy_finds_its_port(compose: Mapping[str, Any], tmp_path: Path) -> None:
    text = (DEPLOY / compose["configs"]["notifier"]["file"]).read_text()
    named = set(re.findall(r"\$\{file:/run/secrets/(\w+)\}", text))
    assert named == set(compose["services"]["notifier"]["secrets"])
    for name in named:
        (tmp_path / name).write_text("0123456789abcdef0123")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("/run/secrets/", f"{tmp_path}/"))
    settings = app.load(path, {})
    database = compose["services"]["postgres"]["environment"]
    assert settings.store == f"postgresql://{database['POSTGRES_USER']}:0123456789abcdef0123@postgres/{database['POSTGRES_DB']}"
    assert settings.http is not None
    assert f"dynamic a notifier {settings.http.port}" in compose["configs"]["caddy"]["content"]
    assert f"http://127.0.0.1:{settings.http.port}/healthz" in DOCKERFILE


def test_kubernetes_runs_what_the_image_has_under_its_limits(manifests: Mapping[str, dict[str, Any]]) -> None:
    spec = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"][0] in main.commands
    assert spec["securityContext"]["runAsUser"] == image_user()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["terminationGracePeriodSeconds"] > GOES_AWAY_WITHIN
    assert "memory" in container["resources"]["limits"]
    for probe in ("readinessProbe", "livenessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert path in routes()
        assert path in OPEN, "a probe knows no token"
        assert container[probe]["httpGet"]["port"] in {port["name"] for port in container["ports"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in spec["volumes"]}
    (variable,) = container["env"]
    assert variable["name"] == option_variable()
    folder, _, file = variable["value"].rpartition("/")
    assert folder == mounts["config"]
    assert file in manifests["ConfigMap"]["data"]


def test_the_manifests_find_each_other(manifests: Mapping[str, dict[str, Any]]) -> None:
    deployment = manifests["Deployment"]["spec"]
    pods = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == pods
    assert manifests["Service"]["spec"]["selector"] == pods
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == pods
    spec = deployment["template"]["spec"]
    (container,) = spec["containers"]
    assert container["envFrom"][0]["secretRef"]["name"] == manifests["Secret"]["metadata"]["name"]
    assert spec["volumes"][0]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    assert manifests["Service"]["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_kubernetes_configuration_is_good_with_its_secret(manifests: Mapping[str, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(manifests["ConfigMap"]["data"]["notifier.yaml"])
    secret = manifests["Secret"]["stringData"]
    assert set(re.findall(r"\$\{(\w+)\}", path.read_text())) == set(secret)
    settings = app.load(path, secret)
    assert settings.store == secret["NOTIFIER_STORE"]
    assert settings.http is not None
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert settings.http.port == container["ports"][0]["containerPort"]


def test_the_unit_is_one_and_is_hardened(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "notifier.service").read_text()
    start = re.search(r"^ExecStart=(\S+/bin/notifier) (\w+)$", unit, re.MULTILINE)
    assert start is not None
    assert start[2] in main.commands
    assert f"Environment={option_variable()}=" in unit
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > GOES_AWAY_WITHIN
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: the unit is NOT verified")
    copy = tmp_path / "notifier.service"
    copy.write_text(unit.replace(start[1], shutil.which("true") or "/bin/true"))
    for command in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        found = subprocess.run(["systemd-analyze", *command, copy], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr
        assert "notifier.service" not in found.stderr, found.stderr
