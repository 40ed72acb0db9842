"""What stands in a picture, in the languages there are."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.domain.model import Action
from notifier.domain.node_rows import Outcome


@dataclass(frozen=True, slots=True)
class PictureWords:
    """The words of one language. Those with braces are filled in."""

    actions: Mapping[Action, str]
    outcomes: Mapping[Outcome, str]
    task_outcomes: Mapping[Outcome, str]
    towards: str
    nodes: str
    attempt: str
    attempts: str
    now: str
    eta: str
    no_data: str
    no_progress: str
    unwatched: str
    stages: str
    more: str
    to_come: str
    unseen_stages: str
    together: str
    end_unseen: str
    legend_stall: str
    legend_outage: str
    legend_retry: str
    whole: str


ENGLISH = PictureWords(
    actions={Action.UPGRADING: "upgrade", Action.AZ_MIGRATION: "AZ migration"},
    outcomes={
        Outcome.SUCCEEDED: "succeeded",
        Outcome.FAILED: "failed",
        Outcome.RUNNING: "running",
        Outcome.UNSEEN: "not seen",
    },
    task_outcomes={
        Outcome.SUCCEEDED: "succeeded after {span}",
        Outcome.FAILED: "FAILED after {span}",
        Outcome.RUNNING: "running for {span}",
        Outcome.UNSEEN: "no longer listed after {span}",
    },
    towards="{action} to {target}",
    nodes="{done} of {total} nodes",
    attempt="attempt {number}",
    attempts="{count} attempts",
    now="now",
    eta="end expected",
    no_data="no data {span}",
    no_progress="no progress {span}",
    unwatched="before the watch began",
    stages="Stages",
    more="and {count} more nodes: {what}",
    to_come="{count} more to come",
    unseen_stages="stages not seen",
    together="{first} to {last}",
    end_unseen="end not seen",
    legend_stall="no progress",
    legend_outage="no data",
    legend_retry="retry",
    whole="whole task",
)

CHINESE = PictureWords(
    actions={Action.UPGRADING: "升级", Action.AZ_MIGRATION: "可用区切换"},
    outcomes={Outcome.SUCCEEDED: "成功", Outcome.FAILED: "失败", Outcome.RUNNING: "进行中", Outcome.UNSEEN: "未观测到"},
    task_outcomes={
        Outcome.SUCCEEDED: "成功，用时 {span}",
        Outcome.FAILED: "失败，用时 {span}",
        Outcome.RUNNING: "进行中，已用时 {span}",
        Outcome.UNSEEN: "{span} 后不再列出",
    },
    towards="{action}到 {target}",
    nodes="{done}/{total} 个节点完成",
    attempt="第 {number} 次执行",
    attempts="共执行 {count} 次",
    now="现在",
    eta="预计结束",
    no_data="无数据 {span}",
    no_progress="无进展 {span}",
    unwatched="开始监控之前",
    stages="阶段",
    more="另有 {count} 个节点：{what}",
    to_come="还有 {count} 个节点未开始",
    unseen_stages="未观测到阶段",
    together="{first} 至 {last}",
    end_unseen="未观测到结束",
    legend_stall="无进展",
    legend_outage="无数据",
    legend_retry="重试",
    whole="整个任务",
)

LANGUAGES: Mapping[str, PictureWords] = {"en": ENGLISH, "zh": CHINESE}
