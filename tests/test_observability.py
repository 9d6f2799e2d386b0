"""The observability profile fits together: what is named in one file is there in another. Nothing of it runs here."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docker/observability"
OURS = re.compile(r"\b(?:holdfast|http_server|temporal)_[a-z_]+")
PARTS = re.compile(r"_(?:bucket|count|sum|total|oldest_seconds)$")


def read(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return found


def profile() -> dict[str, Any]:
    return {name: service for name, service in services().items() if service.get("profiles") == ["observability"]}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana/dashboards/holdfast.json").read_text(encoding="utf-8"))
    return found


def test_the_profile_is_what_observe_md_says_and_without_it_nothing_of_it_starts() -> None:
    assert set(profile()) == {"otel-collector", "prometheus", "tempo", "loki", "grafana"}
    for name, service in services().items():
        assert name in profile() or not set(service.get("depends_on", {})) & set(profile())


def test_every_image_is_pinned_to_a_version() -> None:
    for name, service in profile().items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_what_is_published_is_for_this_machine_only() -> None:
    published = [port for service in profile().values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_prometheus_watches_our_processes_and_every_part_of_the_profile() -> None:
    config = read("prometheus/prometheus.yaml")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    targets = {t.split(":")[0] for t in jobs["observability"]["static_configs"][0]["targets"]}
    assert targets == set(profile())
    found = {
        name: sd["port"] for job in ("api", "worker") for sd in jobs[job]["dns_sd_configs"] for name in sd["names"]
    }
    assert found["api"] == int(services()["api"]["ports"][0].rsplit(":", 1)[1])
    assert found["worker"] == int(services()["worker"]["environment"]["HOLDFAST_METRICS_PORT"])


def test_every_configuration_is_mounted_where_its_process_looks_for_it() -> None:
    mounted = {
        volume.split(":")[0]: volume.split(":")[1]
        for service in profile().values()
        for volume in service["volumes"]
        if volume.startswith("./")
    }
    assert {str((ROOT / source).relative_to(ROOT)) for source in mounted} == {
        str(path.relative_to(ROOT)) for path in FOLDER.rglob("*") if path.is_file()
    }
    commands = " ".join(str(service.get("command")) for service in profile().values())
    rules, places = read("prometheus/prometheus.yaml")["rule_files"][0].removesuffix("*.yaml"), mounted.values()
    shown = read("grafana/provisioning/dashboards/all.yaml")["providers"][0]["options"]["path"]
    for place in places:
        assert place in commands or place.startswith(("/etc/grafana/provisioning/", rules, shown)), place


def test_every_address_in_a_configuration_is_a_service() -> None:
    for path in FOLDER.rglob("*.yaml"):
        for host in re.findall(r"http://([a-z-]+)", path.read_text(encoding="utf-8")):
            assert host in services(), (path.name, host)


def test_the_collectors_pipelines_are_made_of_what_is_configured() -> None:
    config = read("otel-collector.yaml")
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in used.items():
            names |= set(pipeline[kind])
    assert used == {kind: set(config[kind]) for kind in used}


def test_panels_ask_data_sources_that_are_provisioned_for_metrics_that_are_documented() -> None:
    sources = {source["uid"] for source in read("grafana/provisioning/datasources/all.yaml")["datasources"]}
    page = (ROOT / "docs/how-to/observe.md").read_text(encoding="utf-8")
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    asked = set[str]()
    for panel in panels:
        assert panel["datasource"]["uid"] in sources, panel["title"]
        for target in panel["targets"]:
            asked |= set(OURS.findall(target["expr"]))
    assert len(asked) > 10
    assert [name for name in asked if not name.startswith("temporal_") and PARTS.sub("", name) not in page] == []
