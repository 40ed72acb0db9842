"""What ``/api/v1`` answers: one frozen model an operation, made of the shapes. Lists say how to go on."""

from notifier.domain.dossier import Dossier
from notifier.web.shapes import (
    AccuracyShape,
    ClusterShape,
    DeliveryShape,
    PlacedEvent,
    ReplicaShape,
    Shape,
    SilenceShape,
    StoryShape,
    TaskOfCluster,
)


class Clusters(Shape):
    """Clusters and their tasks. ``next``: the ``after`` of the page that follows; null at the end."""

    clusters: tuple[ClusterShape, ...]
    next: str | None


class OneCluster(Shape):
    """A cluster and its tasks."""

    cluster: ClusterShape


class Tasks(Shape):
    """Tasks. ``next``: the ``after`` of the page that follows; null at the end."""

    tasks: tuple[TaskOfCluster, ...]
    next: str | None


class OneTask(Shape):
    """A task and its events, oldest first. ``next``: the ``after`` of the events that follow; null if there are none yet."""

    task: TaskOfCluster
    events: tuple[PlacedEvent, ...]
    next: int | None


class Replicas(Shape):
    """The replicas of the notifier that share this store, the newest first."""

    replicas: tuple[ReplicaShape, ...]


class Reports(Shape):
    """All that is kept of each task that was meant: what reports are made of."""

    report: tuple[Dossier, ...]


class Events(Shape):
    """Events, oldest first. ``last``: go on from here with ``after``. ``before``: go back from here; null at the beginning."""

    events: tuple[PlacedEvent, ...]
    last: int
    before: int | None


class Deliveries(Shape):
    """Deliveries, oldest first. ``before``: go back from here; null at the beginning."""

    deliveries: tuple[DeliveryShape, ...]
    before: str | None


class Stories(Shape):
    """An event and what became of it, alone in its list."""

    story: tuple[StoryShape, ...]


class Accuracy(Shape):
    """How far off the forecasts were, by how much was left when they were made, the most first."""

    accuracy: tuple[AccuracyShape, ...]


class Silences(Shape):
    """Silences, by their ends."""

    silences: tuple[SilenceShape, ...]


class Resent(Shape):
    """The ids of the deliveries that were dead and are owed again."""

    resent: tuple[str, ...]


class Expired(Shape):
    """The ids of the silences that had not ended and have now."""

    expired: tuple[str, ...]
