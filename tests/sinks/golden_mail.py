"""The mail of a failure, kept as a file: whoever changes what a mail is sees it in the difference.

Run ``python tests/sinks/golden_mail.py`` to write it anew.
"""

from dataclasses import replace
from datetime import timedelta
from email.headerregistry import Address
from pathlib import Path

from notifier.domain.message import Receipt, Report
from notifier.domain.model import Kind
from notifier.domain.samples import sample, samples
from notifier.domain.words import Words
from notifier.sinks.email_letter import Sender, letter

FILE = Path(__file__).parents[1] / "data" / "mail_failed.eml"
REPORT = Report(
    "sample-cluster · upgrade", "<svg/>", f"<!doctype html>\n<title>report</title>\n{'<p>a long line</p>' * 20}\n", b"\x89PNG"
)


def golden() -> bytes:
    """A failure that was told late, with what came before it and a report, to two people."""
    message = replace(
        sample(Kind.TASK_FAILED, mark=None),
        earlier=tuple(told.event for told in samples(mark=None)[3:6]),
        late_by=timedelta(minutes=12),
        report=REPORT,
    )
    sender = Sender(
        name="mail",
        address=Address("CSS upgrades", addr_spec="css@example.com"),
        recipients=(Address("", addr_spec="ops@example.com"), Address("搜索团队", addr_spec="search-team@example.com")),
        domain="example.com",
        subject_prefix="[css]",
        threads=True,
        words=Words(),
        page="https://status.example.com",
    )
    return letter(message, Receipt({"message-id": "<before@example.com>"}), sender).content


if __name__ == "__main__":
    FILE.write_bytes(golden())
