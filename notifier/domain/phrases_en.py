"""English, which is also what logs, the API and the webhook's body speak."""

from notifier.domain.model import Kind
from notifier.domain.phrases import Labels, Phrases, Telling

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
        Kind.TASK_STALLED: Telling("{work} makes no progress", "{Work} makes no progress{standing}."),
        Kind.TASK_RESUMED: Telling("{work} makes progress again", "{Work}{towards} makes progress again{standing}."),
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
        Kind.SINK_FAILING: Telling("sink {sink} FAILS", "Sink {sink} cannot be told anything{since}{blame}.{waiting}{lost}"),
        Kind.SINK_RECOVERED: Telling("sink {sink} works again", "Sink {sink} works again{after}.{waiting}{lost}"),
    },
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
    followed=" {count} message(s) waited and follow now; what is old is merged, task by task.",
    lost=" {count} were given up.",
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
    ),
    statuses={},
    stages={},
    reasons={},
    failures={},
)
