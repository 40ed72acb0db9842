"""What a language has to have: every phrase that news is put together from.

``phrases_en`` and ``phrases_zh`` are the languages there are, each one table of this shape. A kind of event has one `Telling` in
each; a test finds the kind that lacks one. Phrases are templates for ``str.format``, and the names they may use are those of
`words.Words`: what is absent is filled in as nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.model import Kind


@dataclass(frozen=True, slots=True)
class Telling:
    """How one kind is told: ``headline`` in a few words, ``summary`` as a sentence.

    Both may use ``{work}`` (what is done to the cluster; ``{Work}`` begins a sentence), ``{towards}``, ``{attempt}``,
    ``{standing}``, ``{cause}``, ``{node}``, ``{stage}``, ``{took}``, ``{since}``, ``{blame}``, ``{without}``,
    ``{project}``, ``{after}``, ``{sink}``, ``{waiting}``, ``{lost}``, and the `time_words.SLOTS`.
    """

    headline: str
    summary: str


@dataclass(frozen=True, slots=True)
class Labels:
    """What stands before the facts."""

    cluster: str
    region: str
    action: str
    target: str
    status: str
    attempt: str
    nodes: str
    in_flight: str
    message: str
    task: str
    node: str
    stage: str
    seen: str
    sink: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TimePhrases:
    """What is said of events about time.

    Attributes:
        stood: For a ``{span}`` without progress, of ``{what}`` is at work: what follows the headline.
        unseen: A ``{span}`` without data in between.
        usual: The ``{span}`` it usually takes at the most, by a ``{basis}``.
        unknown: The ``{basis}``, where nothing is usual yet.
        moved: After a ``{span}`` without progress.
        limit: The share of Huawei's limit that the migration off ``{node}`` has used, and what happens ``{until}`` when.
        window: When a window ends, what is left, whether that fits, what is ``{expected}``.
        fits: It will be over in time; ``fits_not``, ``fits_perhaps``.
        expected: From ``{earliest}`` to ``{latest}``.
        node: A ``{node}``, as a place; ``its_node`` one that is not known.
        stage_of: A ``{stage}`` ``{where}``.
        between: That no stage runs ``{where}``.
        lever: What speeds a data migration up. Huawei's upgrade guide names the setting and its range, and the disk space after
            one node leaves (below 80 %).
        elsewhere: Where to look otherwise, by the same guide.
        lasting: In front of a reminder: that it lasts, after a ``{span}``.
        bases: What forecasts rest on, as patterns of what the domain calls it; what is not named is said as it is.
    """

    stood: str
    unseen: str
    usual: str
    unknown: str
    moved: str
    limit: str
    window: str
    fits: str
    fits_not: str
    fits_perhaps: str
    expected: str
    node: str
    its_node: str
    stage_of: str
    between: str
    lever: str
    elsewhere: str
    lasting: str
    bases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language.

    Attributes:
        tellings: One for each kind.
        found: For a task that was running already when it was first seen, instead of its kind's.
        removed: For a sink that failed and is gone, instead of its kind's.
        title: Of ``{cluster}`` and ``{headline}``.
        upgrade: What is done to the cluster, in the middle of a sentence.
        migration: Likewise.
        work: Likewise, where it is not known.
        towards: ``{target}``: an image or AZs.
        standing: How many nodes of ``{total}`` are ``{done}``, and ``{share}``.
        share: Of ``{percent}``.
        cause: ``{message}``.
        stage: Its ``{order}`` and ``{name}``.
        a_stage: One that is not known.
        took: A ``{span}``.
        since: The ``{moment}`` an outage began.
        blame: The ``{reason}`` and ``{detail}`` of an outage.
        without: The ``{span}`` of an outage; ``after`` that of a failing sink.
        waiting: ``{count}`` messages that a failing sink owes.
        followed: The same, once it works again.
        merged: ``{merged}`` of them are old, and told along with others.
        lost: ``{count}`` messages that were given up.
        late: That news is told a ``{span}`` after it was seen.
        skipped: That ``{count}`` messages before it were given up.
        repeat: That it may have been told before.
        reminder: The ``{count}``-th that it lasts.
        before: Stands above what is told along.
        more: ``{count}`` of that are left out.
        completed: Nodes ``{done}`` of ``{total}``, as a fact.
        listing: Stands between the names of a list.
        units: Days, hours, minutes, seconds.
        labels: See `Labels`.
        time: See `TimePhrases`.
        statuses: What the API's statuses are called; an unknown one stays as it is.
        stages: Likewise for the names of stages.
        reasons: Likewise for why a cluster cannot be polled.
        failures: Likewise for why a sink cannot be told.
    """

    tellings: Mapping[Kind, Telling]
    found: Telling
    removed: Telling
    title: str
    upgrade: str
    migration: str
    work: str
    towards: str
    standing: str
    share: str
    cause: str
    stage: str
    a_stage: str
    took: str
    since: str
    blame: str
    without: str
    after: str
    waiting: str
    followed: str
    merged: str
    lost: str
    late: str
    skipped: str
    repeat: str
    reminder: str
    before: str
    more: str
    completed: str
    listing: str
    units: tuple[str, str, str, str]
    labels: Labels
    time: TimePhrases
    statuses: Mapping[str, str]
    stages: Mapping[str, str]
    reasons: Mapping[str, str]
    failures: Mapping[str, str]
