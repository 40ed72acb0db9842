"""Where a person looks next."""

from dataclasses import replace

from notifier.domain.links import console, task_page
from notifier.domain.model import Kind
from notifier.domain.samples import sample

FAILED = sample(Kind.TASK_FAILED).event


def test_a_task_has_a_page_of_its_own_and_what_is_no_task_has_none() -> None:
    assert FAILED.task is not None
    strange = replace(FAILED, cluster=replace(FAILED.cluster, id="c/1?"), task=replace(FAILED.task, id="t 1#\n"))
    assert task_page("https://page", strange, None) == "https://page/tasks/c%2F1%3F/UPGRADING/t%201%23%20"
    assert task_page("https://page", FAILED, "DRILL") == "https://page"
    assert task_page("https://page", sample(Kind.CLUSTER_UNREACHABLE).event, None) == "https://page"


def test_the_console_is_the_regions_and_the_notifier_itself_has_none() -> None:
    assert console(FAILED) == "https://console.huaweicloud.com/css/?region=cn-north-4"
    injected = replace(FAILED, cluster=replace(FAILED.cluster, region="x&y=<script>"))
    assert console(injected) == "https://console.huaweicloud.com/css/?region=x%26y%3D%3Cscript%3E"
    assert console(sample(Kind.SINK_FAILING).event) is None
