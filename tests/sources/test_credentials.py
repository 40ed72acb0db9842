"""Keys from the configuration, the environment, a profile file and the metadata service; and regions."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from huaweicloudsdkcss.v1.region.css_region import CssRegion
from source_servers import serving, serving_bytes

from notifier.outbound import open_session
from notifier.sources import credentials
from notifier.sources.credentials import CredentialsError, FromEnvironment, FromMetadata, FromProfile, Given, Token
from notifier.sources.regions import REGIONS, UnknownRegionError, endpoint_of
from notifier.sources.signing import Keys

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "sk-hush"


async def test_given_keys_and_tokens_are_given_back_as_they_are() -> None:
    for given in (Keys("ak", SECRET), Token("t-hush")):
        provider = Given(given)
        assert await provider.keys(NOW) is await provider.keys(NOW) is given
        assert "hush" not in repr(given)


async def test_the_environment_holds_keys_that_may_be_temporary() -> None:
    environment = {"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": SECRET}
    assert await FromEnvironment(environment).keys(NOW) == Keys("ak", SECRET)
    temporary = FromEnvironment(environment | {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "token"})
    assert await temporary.keys(NOW) == Keys("ak", SECRET, "token")
    assert await temporary.keys(NOW) is await temporary.keys(NOW)


async def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_SK not set in the environment; set both"):
        await FromEnvironment({"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": ""}).keys(NOW)
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK not set"):
        await FromEnvironment({}).keys(NOW)


async def test_the_profile_file_is_found_where_the_sdk_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud" / "credentials").write_text("[basic]\nak = home\nsk = 100%hush\n")
    assert await FromProfile().keys(NOW) == Keys("home", "100%hush")
    named = tmp_path / "named"
    named.write_text("[basic]\nak = named\nsk = s\nsecurity_token = t\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(named))
    assert await FromProfile().keys(NOW) == Keys("named", "s", "t")
    assert await FromProfile(tmp_path / ".huaweicloud" / "credentials").keys(NOW) == Keys("home", "100%hush")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b"", "has no section \\[basic\\]"),
        (b"[basic]\nak = a\n", "has no sk under"),
        (b"[basic]\n", "has no ak and no sk under"),
        (b"sk = hush\n", "is not an INI file"),
        (b"[basic]\nsk hush\n", "is not an INI file"),
        (b"[basic]\nak = \xff hush\n", "is not an INI file"),
    ],
)
async def test_a_profile_file_that_is_of_no_use_says_why_and_shows_nothing(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "credentials"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialsError, match=problem) as caught:
        await FromProfile(path).keys(NOW)
    assert str(path) in caught.value.problem
    assert "[basic]" in caught.value.remedy
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_profile_that_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="cannot be read: Is a directory"):
        await FromProfile(tmp_path).keys(NOW)


async def test_a_rotated_profile_is_taken_up_within_five_seconds_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[basic]\nak = old\nsk = s\n")
    provider = FromProfile(path)
    first = await provider.keys(NOW)
    assert await provider.keys(NOW + timedelta(seconds=6)) is first

    path.write_text("[basic]\nak = fresh\nsk = s\n")
    assert await provider.keys(NOW + timedelta(seconds=7)) is first
    second = await provider.keys(NOW + timedelta(seconds=12))
    assert second == Keys("fresh", "s")

    path.write_text("[basic]\n")
    assert await provider.keys(NOW + timedelta(seconds=20)) is second
    path.unlink()
    assert await provider.keys(NOW + timedelta(seconds=30)) is second


class Metadata:
    """A metadata service whose answers can be changed while it runs."""

    def __init__(self) -> None:
        self.token_status = 200
        self.status = 200
        self.number = 0
        self.lifetime = timedelta(hours=24)
        self.body: bytes | None = None

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            assert request.path == "/meta-data/latest/api/token"
            assert request.headers["X-Metadata-Token-Ttl-Seconds"] == "21600"
            return web.Response(status=self.token_status, text="meta-token")
        assert request.path == "/openstack/latest/securitykey"
        assert request.headers.get("X-Metadata-Token") == ("meta-token" if self.token_status == 200 else None)
        self.number += 1
        await asyncio.sleep(0)
        expires = (NOW + self.lifetime).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        made: dict[str, Any] = {"access": f"ak{self.number}", "secret": SECRET, "securitytoken": "tok", "expires_at": expires}
        return web.Response(status=self.status, body=json.dumps({"credential": made}) if self.body is None else self.body)


async def test_the_agency_of_the_server_gives_temporary_keys_that_are_kept_until_forty_minutes_before_their_end() -> None:
    service = Metadata()
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        provider = FromMetadata(session, served.url)
        first = await provider.keys(NOW)
        assert first == Keys("ak1", SECRET, "tok")
        assert await provider.keys(NOW + timedelta(hours=23, minutes=19)) is first
        assert (await provider.keys(NOW + timedelta(hours=23, minutes=20))).access_key == "ak2"


async def test_many_polls_at_once_ask_the_metadata_service_once() -> None:
    service = Metadata()
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        provider = FromMetadata(session, served.url)
        found = await asyncio.gather(*(provider.keys(NOW) for _ in range(20)))
    assert service.number == 1
    assert len({id(keys) for keys in found}) == 1


async def test_keys_that_still_hold_are_used_while_the_service_fails_and_it_is_not_hammered() -> None:
    service = Metadata()
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        provider = FromMetadata(session, served.url)
        first = await provider.keys(NOW)
        service.status = 500
        late = NOW + timedelta(hours=23, minutes=30)
        for second in range(60):
            assert await provider.keys(late + timedelta(seconds=second)) is first
        assert service.number == 3
        with pytest.raises(
            CredentialsError, match="answers HTTP 500 to /openstack/latest/securitykey; give the ECS server an agency"
        ):
            await provider.keys(NOW + timedelta(hours=24))
        service.status = 200
        service.lifetime = timedelta(hours=48)
        assert (await provider.keys(NOW + timedelta(hours=24, minutes=1))).access_key == "ak5"


async def test_other_polls_go_on_with_the_old_keys_while_one_fetches_new_ones() -> None:
    service = Metadata()
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        provider = FromMetadata(session, served.url)
        first = await provider.keys(NOW)
        late = NOW + timedelta(hours=23, minutes=30)
        renewing = asyncio.ensure_future(provider.keys(late))
        await asyncio.sleep(0)
        assert await provider.keys(late) is first
        assert (await renewing).access_key == "ak2"


@pytest.mark.parametrize("status", [404, 405, 503])
async def test_an_old_metadata_service_without_tokens_is_asked_without_one(status: int) -> None:
    service = Metadata()
    service.token_status = status
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        assert (await FromMetadata(session, served.url).keys(NOW)).access_key == "ak1"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"credential": null}', "cannot be read"),
        (b'{"credential": {"access": "a", "secret": "hush", "securitytoken": "t", "expires_at": "soon"}}', "cannot be read"),
        (
            b'{"credential": {"access": "a", "secret": "hush", "securitytoken": "", "expires_at": "2027-01-01T00:00:00Z"}}',
            "incomplete",
        ),
        (
            b'{"credential": {"access": "a", "secret": 7, "securitytoken": "t", "expires_at": "2027-01-01T00:00:00"}}',
            "incomplete",
        ),
        (
            b'{"credential": {"access": "a", "secret": "hush", "securitytoken": "t", "expires_at": "2020-01-01T00:00:00"}}',
            "run out",
        ),
        (b"x" * 70_000, "cannot be read"),
    ],
)
async def test_an_answer_of_the_metadata_service_that_is_of_no_use_is_an_error(body: bytes, problem: str) -> None:
    service = Metadata()
    service.body = body
    async with serving(service.answer) as served, open_session(allow_metadata=True) as session:
        with pytest.raises(CredentialsError, match=problem) as caught:
            await FromMetadata(session, served.url).keys(NOW)
    assert "hush" not in str(caught.value)


async def test_a_metadata_service_that_hangs_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "METADATA_TIMEOUT", 0.05)
    async with serving_bytes(hang=True) as served, open_session(allow_metadata=True) as session:
        with pytest.raises(CredentialsError, match="cannot be reached \\(no complete answer in time\\)"):
            await FromMetadata(session, served.url).keys(NOW)


def test_each_region_of_the_official_sdk_has_the_same_endpoint_here() -> None:
    official = {region: CssRegion.static_fields[region].endpoints[0] for region in CssRegion.static_fields}
    assert {region: endpoint_of(region) for region in REGIONS} == official


def test_a_region_that_is_not_known_says_what_was_meant_or_to_give_the_endpoint() -> None:
    with pytest.raises(UnknownRegionError, match=r"did you mean cn-north-4.*give its `endpoint`") as caught:
        endpoint_of("cn-nroth-4")
    assert "cn-north-4" in caught.value.matches
    with pytest.raises(UnknownRegionError, match=r"unknown region 'mars'\. For .*`endpoint`"):
        endpoint_of("mars")
