"""What is built of a project of the configuration: its API, the watches of its clusters, the survey of those it lists."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import aiohttp

from notifier import telemetry
from notifier.config import ProjectSettings
from notifier.config.settings import PollSettings
from notifier.config.timing import TimedCluster
from notifier.domain.model import Cluster
from notifier.engine.budget import Budget
from notifier.engine.discovery import Survey
from notifier.engine.watch import Watch
from notifier.sources.credentials import Credentials, FromEnvironment, FromMetadata, FromProfile, Given, Token
from notifier.sources.huawei_clusters import HuaweiClusters
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.huawei_door import HuaweiDoor, utc_now
from notifier.sources.recorder import Recordings
from notifier.sources.regions import endpoint_of
from notifier.sources.signing import Keys


def endpoint(project: ProjectSettings) -> str:
    """Where a project's API is: given, or known from the region.

    Raises:
        UnknownRegionError: Neither.
    """
    return project.endpoint or endpoint_of(project.region)


def credentials_of(project: ProjectSettings, session: aiohttp.ClientSession) -> Credentials:
    """Where a project's keys come from. ``session`` may reach the metadata service, and is used for nothing else."""
    given = project.credentials
    if given.token is not None:
        return Given(Token(given.token.get_secret_value()))
    if given.access_key is not None and given.secret_key is not None:
        token = None if given.security_token is None else given.security_token.get_secret_value()
        return Given(Keys(given.access_key.get_secret_value(), given.secret_key.get_secret_value(), token))
    if given.origin == "profile":
        return FromProfile(None if given.profile_path is None else Path(given.profile_path))
    return FromMetadata(session) if given.origin == "metadata" else FromEnvironment()


class Project:
    """The API of one project, with the budget that all who ask it share.

    Args:
        settings: The project.
        session: For its API.
        metadata: A session that may reach the cloud's metadata service.
        poll: How it is asked.
        clock: Gives the time that requests are signed with.
        recordings: Where the answers are kept, if they are.
    """

    def __init__(
        self,
        settings: ProjectSettings,
        session: aiohttp.ClientSession,
        metadata: aiohttp.ClientSession,
        poll: PollSettings,
        *,
        clock: Callable[[], datetime] = utc_now,
        recordings: Recordings | None = None,
    ) -> None:
        self.settings = settings
        self.budget = Budget(poll.rate)
        patience = poll.patience
        self.limits = {each.id: each.limits(patience) for each in settings.clusters}
        self.usual_limits = TimedCluster().limits(patience)
        door = HuaweiDoor(
            session,
            endpoint(settings),
            settings.project_id,
            credentials_of(settings, metadata),
            clock=clock,
            timeout=poll.timeout,
        )
        source = HuaweiCss(door, on_drift=telemetry.drifted)
        self.source = source if recordings is None else recordings.around(source)
        self.list = HuaweiClusters(door, region=settings.region, project=settings.name)

    def watch(self, cluster: Cluster) -> Watch:
        """A cluster of the project under watch."""
        return Watch(cluster, self.source, self.budget, limits=self.limits.get(cluster.id, self.usual_limits))

    @property
    def watches(self) -> list[Watch]:
        """Those of the clusters that the configuration names."""
        return [self.watch(cluster) for cluster in self.settings.watched]

    @property
    def survey(self) -> Survey | None:
        """Of the clusters that the project lists; None unless the configuration wants them."""
        wish = self.settings.discover
        if wish is None:
            return None
        return Survey(
            project=self.settings.name,
            project_id=self.settings.project_id,
            source=self.list,
            budget=self.budget,
            wanted=wish.wanted,
            explicit=frozenset(each.id for each in self.settings.clusters),
            every=wish.every,
            watch=self.watch,
        )

    async def clusters(self) -> list[Cluster]:
        """Every cluster to watch, as of now: those named, and of those listed the wanted ones.

        Raises:
            FetchError: The list cannot be had.
        """
        found = {cluster.id: cluster for cluster in self.settings.watched}
        if self.settings.discover is not None:
            wanted = self.settings.discover.wanted
            async with self.budget.turn():
                listed = await self.list.clusters()
            found = {cluster.id: cluster for cluster in listed.clusters if wanted.takes(cluster)} | found
        return list(found.values())
