"""What is built of a project: where its keys come from, who asks its API, and that what it does not know is counted."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from engine_scripts import cluster

from notifier import metrics
from notifier.config import ProjectSettings
from notifier.config.settings import PollSettings
from notifier.domain.model import Action
from notifier.domain.timekeeping import Limits
from notifier.outbound import open_session
from notifier.projects import Project, credentials_of, endpoint
from notifier.sources.credentials import FromEnvironment, FromMetadata, FromProfile, Token
from notifier.sources.signing import Keys

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def settings(credentials: dict[str, str], **more: Any) -> ProjectSettings:
    whole = {"name": "prod", "region": "cn-north-4", "project_id": "p1", "clusters": [{"id": "c"}], "credentials": credentials}
    return ProjectSettings.model_validate({**whole, **more})


async def test_keys_come_from_where_the_configuration_says() -> None:
    async with open_session(allow_metadata=True) as session:
        given = credentials_of(settings({"access_key": "AK", "secret_key": "SK", "security_token": "ST"}), session)
        token = credentials_of(settings({"token": "T"}), session)
        found = [credentials_of(settings({"from": origin}), session) for origin in ("env", "profile", "metadata")]
        named = credentials_of(settings({"from": "profile", "profile_path": "/x"}), session)
    assert await given.keys(NOW) == Keys("AK", "SK", "ST")
    assert await token.keys(NOW) == Token("T")
    assert [type(each) for each in found] == [FromEnvironment, FromProfile, FromMetadata]
    assert isinstance(named, FromProfile)


@pytest.mark.parametrize(
    ("given", "address"),
    [(None, "https://css.cn-north-4.myhuaweicloud.com"), ("http://127.0.0.1:9000", "http://127.0.0.1:9000")],
)
def test_the_endpoint_is_given_or_known_from_the_region(given: str | None, address: str) -> None:
    assert endpoint(settings({"from": "env"}, endpoint=given)) == address


async def test_what_an_answer_holds_that_is_not_known_is_counted() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"totalSize": 0, "detailList": [], "somethingNew": 1})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    counted = metrics.registry.get_sample_value("notifier_schema_drift_total", {"kind": "field"}) or 0.0
    async with TestServer(app) as server, open_session() as session:
        chosen = settings({"access_key": "AK", "secret_key": "SK"}, endpoint=str(server.make_url("")).rstrip("/"))
        project = Project(chosen, session, session, PollSettings())
        assert project.survey is None
        assert [watch.cluster.id for watch in project.watches] == ["c"]
        await project.source.fetch(cluster(), Action.UPGRADING)
    assert metrics.registry.get_sample_value("notifier_schema_drift_total", {"kind": "field"}) == counted + 1


async def test_a_cluster_that_is_discovered_stalls_by_the_usual_rule_and_one_that_is_named_by_its_own() -> None:
    keys = {"access_key": "AK", "secret_key": "SK"}
    named = [{"id": "quiet", "stall": "off"}, {"id": "windowed", "window": {"ends": "2026-03-01T06:00+08:00"}}]
    async with open_session() as session:
        poll = PollSettings.model_validate({"active": "20s"})
        project = Project(settings(keys, clusters=named, discover={}), session, session, poll)
        quiet, windowed = (watch.limits for watch in project.watches)
        assert project.survey is not None
        found = project.survey.watch(cluster()).limits
    assert (quiet.stall, quiet.window, quiet.patience) == (None, None, 80.0)
    assert windowed.window is not None
    assert found == Limits(patience=80.0)
