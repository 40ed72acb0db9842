"""What stands in an end report, in the languages there are."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportWords:
    """The words of one language. Those with braces are filled in."""

    heading: str
    html_language: str
    made: str
    so_far: str
    troubles: str
    no_trouble: str
    failed: str
    retried: str
    stalled: str
    outage: str
    unwatched: str
    still: str
    slowest: str
    no_slow: str
    slow_columns: tuple[str, ...]
    times: str
    first_of_its_kind: str
    forecasts: str
    forecast_columns: tuple[str, ...]
    held: str
    later: str
    earlier: str
    missed: str
    told: str
    nobody: str
    told_columns: tuple[str, ...]
    every: str
    every_columns: tuple[str, ...]
    states: Mapping[str, str]
    along: str
    silences: str
    no_silence: str
    silence_columns: tuple[str, ...]
    acknowledged: str
    silenced: str


ENGLISH = ReportWords(
    heading="What happened",
    html_language="en",
    made="Made by notifier {version} at {moment}.",
    so_far="The task is not over: this is how it stands.",
    troubles="What went wrong",
    no_trouble="Nothing: no failure, no retry, no standstill, no time without data.",
    failed="failed",
    retried="retried as attempt {number}",
    stalled="no progress for {span}",
    outage="no data for {span}",
    unwatched="began {span} before it was watched",
    still="still lasts",
    slowest="What took longer than usual",
    no_slow="No stage took noticeably longer than its like.",
    slow_columns=("Stage", "Node", "Took", "Usual", "Compared with"),
    times="{times:.1f} times",
    first_of_its_kind="nothing like it is known",
    forecasts="Forecasts and the truth",
    forecast_columns=("Of the way", "Made at", "Left then", "Expected between", "and", "Held", "Ended"),
    held="yes",
    later="{span} later than its middle",
    earlier="{span} earlier than its middle",
    missed="missed by {span}",
    told="Who was told",
    nobody="Nobody: no route matched.",
    told_columns=("Sink", "Arrived", "Silenced", "Waiting", "Given up", "Tries", "Usual delay", "Longest delay"),
    every="Every notification ({count})",
    every_columns=("When", "What", "Sink", "Fate", "Tries", "Delay"),
    states={
        "delivered": "arrived",
        "dead": "GIVEN UP",
        "pending": "waiting",
        "sending": "being sent",
        "silenced": "silenced",
        "over": "no longer due",
    },
    along="with a later one",
    silences="Who acknowledged or silenced it",
    no_silence="Nobody.",
    silence_columns=("Who", "What", "From", "Until", "Why"),
    acknowledged="acknowledged",
    silenced="silenced",
)

CHINESE = ReportWords(
    heading="经过",
    html_language="zh-CN",
    made="由 notifier {version} 于 {moment} 生成。",
    so_far="任务尚未结束：以下是目前的情况。",
    troubles="出现的问题",
    no_trouble="没有：没有失败，没有重试，没有停滞，没有数据中断。",
    failed="失败",
    retried="重试，第 {number} 次执行",
    stalled="停滞 {span}",
    outage="无数据 {span}",
    unwatched="开始监控前已运行 {span}",
    still="仍在持续",
    slowest="比平时慢的阶段",
    no_slow="没有明显慢于同类的阶段。",
    slow_columns=("阶段", "节点", "用时", "平时", "对比样本"),
    times="{times:.1f} 倍",
    first_of_its_kind="没有可比的记录",
    forecasts="预测与实际",
    forecast_columns=("进度", "预测时间", "当时剩余", "预计最早", "预计最晚", "是否命中", "实际结束"),
    held="是",
    later="比预测中点晚 {span}",
    earlier="比预测中点早 {span}",
    missed="偏差 {span}",
    told="通知了谁",
    nobody="没有人：没有匹配的路由。",
    told_columns=("通知渠道", "已送达", "已静默", "等待中", "已放弃", "尝试次数", "通常延迟", "最长延迟"),
    every="全部通知（{count} 条）",
    every_columns=("时间", "内容", "通知渠道", "结果", "尝试", "延迟"),
    states={
        "delivered": "已送达",
        "dead": "已放弃",
        "pending": "等待中",
        "sending": "发送中",
        "silenced": "已静默",
        "over": "已不再需要",
    },
    along="与后一条合并",
    silences="谁确认或静默了通知",
    no_silence="没有人。",
    silence_columns=("谁", "操作", "从", "到", "原因"),
    acknowledged="已确认",
    silenced="已静默",
)

LANGUAGES: Mapping[str, ReportWords] = {"en": ENGLISH, "zh": CHINESE}
