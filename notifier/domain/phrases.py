"""What a language has to have: every phrase that people are told anything in, by whatever sink.

``phrases_en`` and ``phrases_zh`` are the languages there are, each one table of this shape. A kind of event has one `Telling` in
each; a test finds the kind that lacks one. Phrases are templates for ``str.format``, and the names they may use are those of
`words.Words`: what is absent is filled in as nothing. What several sinks say stands here once, and what only some can say (a
card, a mail, an answer) in the same table, so that nothing is called one thing here and another there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.model import Kind, Severity


@dataclass(frozen=True, slots=True)
class Counted:
    """A phrase about ``{count}`` things. ``one``: for a single one, where the language makes a difference."""

    many: str
    one: str | None = None

    def format(self, *, count: int) -> str:
        """The phrase for so many.

        >>> Counted("{count} nodes", "{count} node").format(count=1)
        '1 node'
        """
        return (self.one if count == 1 and self.one is not None else self.many).format(count=count)


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
        window: When a window ends, whether the ``{work}`` fits into it, what is ``{expected}``.
        fits: It will be over in time; ``fits_not``, ``fits_perhaps``.
        expected: From ``{earliest}`` to ``{latest}``, by a ``{basis}``: within a sentence. ``forecast``: as one of its own.
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
    forecast: str
    node: str
    its_node: str
    stage_of: str
    between: str
    lever: str
    elsewhere: str
    lasting: str
    bases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the news, wherever there is room for it.

    Attributes:
        line: ``{title}`` and ``{summary}`` on one line.
        pair: ``{label}`` and ``{value}``.
        aside: A ``{text}`` in brackets behind another.
        gap: Stands between two sentences.
        mark: In front of a title: that this is a ``{mark}``.
        marks: What the marks are called there.
        no_news: The same as a sentence, by mark.
        severities: What they are called.
        happened: Label of the moment it happened.
        details: Heading of the facts.
        page: What a link to the status page says; ``console``: to Huawei's.
        identity: The ``{id}`` by which a person can tell a repeat.
        more_nodes: ``{count}`` that are not named.
        done: What a node is, by where it stands; ``working``, ``failed``, ``halted`` (the task ended while it was at work),
            ``to_come``.
        choice: What must be done about a failure.
        attempt: The ``{number}``-th.
        elapsed: The ``{span}`` a task has run; ``lasted``: it took.
        as_of: The ``{time}`` that what is shown was true.
        task: Its ``{id}``.
        stages: ``{done}`` of ``{total}`` on a ``{node}``.
        deleted: That an earlier message is gone.
        report: What a report is called.
    """

    line: str
    pair: str
    aside: str
    gap: str
    mark: str
    marks: Mapping[str, str]
    no_news: Mapping[str, str]
    severities: Mapping[Severity, str]
    happened: str
    details: str
    page: str
    console: str
    identity: str
    more_nodes: Counted
    done: str
    working: str
    failed: str
    halted: str
    to_come: str
    choice: str
    attempt: str
    elapsed: str
    lasted: str
    as_of: str
    task: str
    stages: str
    deleted: str
    report: str


@dataclass(frozen=True, slots=True)
class LetterPhrases:
    """What only a mail says.

    Attributes:
        watching: Subject of what is told of a cluster; ``sink``: of a ``{sink}``.
        attached: That the report came along.
        footer: Which ``{sender}`` has sent it and why, and the ``{event}``.
    """

    watching: str
    sink: str
    attached: str
    footer: str


@dataclass(frozen=True, slots=True)
class TalkPhrases:
    """What is said to people who can answer.

    Attributes:
        acknowledge: A button; likewise ``mute`` and ``explain``, which is also the title of the window it opens.
        acknowledged: ``{who}`` has, so that no reminders come until ``{until}``.
        muted: ``{who}`` has, until ``{until}``, and ``{why}``.
        mute_holds: Answers a mute that holds ``{until}``.
        mute_length: How a mute's length is written.
        unknown: An event that is not kept any more.
        closed: What was wished for did not work, and ``{why}``.
        clusters: How many are watched.
        no_cluster: None has the ``{name}``.
        looking: While something is looked up.
        close: Closes a window; ``opened``: that there is one.
        course: Heading of what has happened; ``told``: of who was told.
        help: The commands.
        happened: The ``{time}`` it did and was ``{seen}``, as the ``{number}``-th event.
        inferred: That it was not seen itself.
        nobody: That nobody was told.
        tries: How many.
        fates: What became of a delivery, by its state: ``{time}``, ``{tries}``, ``{why}``.
        board: Title of the board; ``quiet``: that there is nothing on it.
        at_work: A comment: a ``{node}`` is being worked on.
    """

    acknowledge: str
    mute: str
    explain: str
    acknowledged: str
    muted: str
    mute_holds: str
    mute_length: str
    unknown: str
    closed: str
    clusters: Counted
    no_cluster: str
    looking: str
    close: str
    opened: str
    course: str
    told: str
    help: str
    happened: str
    inferred: str
    nobody: str
    tries: Counted
    fates: Mapping[str, str]
    board: str
    quiet: str
    at_work: str


@dataclass(frozen=True, slots=True)
class DetailPhrases:
    """How the reasons of failures are said, which are kept in English: see `details`.

    Attributes:
        quoted: A ``{text}`` that is not ours.
        said: Patterns of what we say, and how that is said here. Groups of a pattern are named; see `details.said`.
        steps: What the steps of a conversation with a mail server are called.
    """

    quoted: str
    said: Mapping[str, str]
    steps: Mapping[str, str] = field(default_factory=dict)


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
        towards: ``{target}``: an image or AZs; ``to``: the ``{work}`` with it, as a heading.
        of_nodes: How many of ``{total}`` are ``{done}``.
        standing: That, as ``{nodes}``, and ``{share}``.
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
        merged: ``{count}`` messages that are old, and told along with others.
        lost: ``{count}`` messages that were given up.
        late: That news is told a ``{span}`` after it was seen.
        skipped: That ``{count}`` messages before it were given up.
        repeat: That it may have been told before.
        reminder: The ``{count}``-th that it lasts.
        before: Stands above the ``{count}`` that are told along.
        more: ``{count}`` of a list are left out; ``more_told``: of what is told.
        completed: Nodes ``{done}`` of ``{total}``, as a fact.
        listing: Stands between the names of a list.
        units: Days, hours, minutes, seconds.
        labels: See `Labels`.
        time: See `TimePhrases`.
        statuses: What the API's statuses are called; an unknown one stays as it is.
        stages: Likewise for the names of stages.
        reasons: Likewise for why a cluster cannot be polled.
        failures: Likewise for why a sink cannot be told.
        around: See `Around`; likewise ``letter`` and ``talk``.
        details: See `DetailPhrases`; None: they are said as they are.
    """

    tellings: Mapping[Kind, Telling]
    found: Telling
    removed: Telling
    title: str
    upgrade: str
    migration: str
    work: str
    towards: str
    to: str
    of_nodes: str
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
    waiting: Counted
    followed: Counted
    merged: Counted
    lost: Counted
    late: str
    skipped: Counted
    repeat: str
    reminder: str
    before: Counted
    more: Counted
    more_told: Counted
    completed: str
    listing: str
    units: tuple[str, str, str, str]
    labels: Labels
    time: TimePhrases
    statuses: Mapping[str, str]
    stages: Mapping[str, str]
    reasons: Mapping[str, str]
    failures: Mapping[str, str]
    around: Around
    letter: LetterPhrases
    talk: TalkPhrases
    details: DetailPhrases | None
