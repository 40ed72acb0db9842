"""English, which is also what logs, the API and the webhook's body speak."""

from notifier.domain.model import Kind
from notifier.domain.phrases import Labels, Phrases, Telling, TimePhrases

_CHOICE = "Someone must choose: retry or terminate."

ENGLISH = Phrases(
    tellings={
        Kind.TASK_STARTED: Telling("{work} started", "{Work}{towards} started{standing}."),
        Kind.TASK_RETRIED: Telling("{work} retried", "{Work} retried: attempt {attempt}{standing}."),
        Kind.TASK_SUCCEEDED: Telling("{work} succeeded", "{Work}{towards} succeeded{standing}."),
        Kind.TASK_FAILED: Telling("{work} FAILED", f"{{Work}} FAILED{{standing}}{{cause}}. {_CHOICE}"),
        Kind.TASK_PARTIALLY_FAILED: Telling(
            "{work} PARTIALLY FAILED", f"{{Work}} PARTIALLY FAILED{{standing}}{{cause}}. {_CHOICE}"
        ),
        Kind.TASK_STALLED: Telling("{work} makes no progress", "{Work} makes no progress{standing}{stood}."),
        Kind.TASK_RESUMED: Telling("{work} makes progress again", "{Work}{towards} makes progress again{standing}{moved}."),
        Kind.TASK_DEADLINE_NEAR: Telling("data migration nears its limit", "Data migration nears its limit of 48 h{limit}."),
        Kind.TASK_WINDOW_ENDING: Telling(
            "{work} still running, its change window ends", "The change window ends{window}{standing}."
        ),
        Kind.TASK_VANISHED: Telling(
            "{work} is no longer listed", "{Work} is no longer listed: it was running when the API listed it last{standing}."
        ),
        Kind.NODE_STARTED: Telling("node started", "Node {node} started{standing}."),
        Kind.NODE_COMPLETED: Telling("node completed", "Node {node} completed{standing}."),
        Kind.NODE_FAILED: Telling("node FAILED", "Node {node} failed{cause}."),
        Kind.STAGE_STARTED: Telling("stage started", "Node {node}: {stage} started."),
        Kind.STAGE_SUCCEEDED: Telling("stage succeeded", "Node {node}: {stage} succeeded{took}."),
        Kind.STAGE_FAILED: Telling("stage FAILED", "Node {node}: {stage} failed{took}{cause}."),
        Kind.CLUSTER_UNREACHABLE: Telling("cannot be watched", "No data{since}{blame}."),
        Kind.CLUSTER_RECOVERED: Telling("is watched again", "Data again{without}."),
        Kind.CLUSTER_DISCOVERED: Telling(
            "is new, and watched from now on", "The project {project} lists a new cluster; it is watched from now on."
        ),
        Kind.CLUSTER_FORGOTTEN: Telling(
            "is no longer listed", "The project {project} no longer lists it as one to watch; it is not watched any more."
        ),
        Kind.SINK_FAILING: Telling("sink {sink} FAILS", "Sink {sink} cannot be told anything{since}{blame}.{waiting}{lost}"),
        Kind.SINK_RECOVERED: Telling("sink {sink} works again", "Sink {sink} works again{after}.{waiting}{lost}"),
    },
    removed=Telling(
        "sink {sink} was removed", "Sink {sink} is no longer in the configuration; it had been failing{since}.{lost}"
    ),
    found=Telling("{work} is running", "{Work}{towards} is running{standing}."),
    title="{cluster}: {headline}",
    upgrade="upgrade",
    migration="AZ migration",
    work="work",
    towards=" to {target}",
    standing=" ({done} of {total} nodes{share})",
    share=", {percent}",
    cause=": {message}",
    stage="stage {order} “{name}”",
    a_stage="a stage",
    took=" after {span}",
    since=" since {moment}",
    blame=" ({reason}: {detail})",
    without=", after {span} without",
    after=", after {span}",
    waiting=" {count} message(s) wait for it.",
    followed=" Messages that waited and follow now: {count}.",
    merged=" Of those, {merged} are old and told along with newer ones, task by task.",
    lost=" {count} were given up.",
    late="Told {span} late.",
    skipped="{count} earlier message(s) never arrived.",
    repeat="May be a repeat.",
    reminder="Reminder {count}.",
    before="Before this:",
    more="… and {count} more",
    completed="{done} of {total} completed",
    listing=", ",
    units=("d", "h", "min", "s"),
    labels=Labels(
        cluster="Cluster",
        region="Region",
        action="Action",
        target="Target",
        status="Status",
        attempt="Attempt",
        nodes="Nodes",
        in_flight="In flight",
        message="Message",
        task="Task",
        node="Node",
        stage="Stage",
        seen="Seen",
        sink="Sink",
        remedy="What can be done",
    ),
    time=TimePhrases(
        stood=": {what}, without progress for {span}",
        unseen=" (and {span} without data)",
        usual="; usually it takes {span} at the most, by {basis}",
        unknown="; {basis}",
        moved=", after {span} without progress",
        limit=": off node {node} it has used {share} %; at {until} Huawei gives up and the {work} fails",
        window=" at {until}; {left} of {total} nodes are left, {fit}{expected}",
        fits="it will be over in time",
        fits_not="it will NOT be over in time",
        fits_perhaps="whether it will be over in time is open",
        expected=" (expected {earliest} to {latest})",
        node="node {node}",
        its_node="its node",
        stage_of="{stage} of {where}",
        between="{where}, between two stages",
        lever="Data migration can be sped up: raise indices.recovery.max_bytes_per_sec (40 to 1000 MB) if the cluster has load "
        "to spare, and see that the other nodes have disk space and that no index forbids its shards to move",
        elsewhere="Look at the cluster's load, which makes upgrades hang, and at its task in the console (Jobs, View Progress); "
        "the task cannot be stopped, so if it stays like this ask Huawei's support",
        lasting="Still, after {span}: ",
    ),
    statuses={},
    stages={},
    reasons={},
    failures={},
)
