"""The report of a task in its last mail: the picture where it is read, the page as an attachment. Pure."""

from email.message import EmailMessage

from notifier.domain.message import Report


def cid(digest: str) -> str:
    """What the HTML calls the picture by (RFC 2392), without its brackets."""
    return f"{digest}.timeline@notifier"


def bring(mail: EmailMessage, report: Report, digest: str) -> None:
    """Add a report to a mail that has its text and its HTML.

    Args:
        mail: ``multipart/alternative``.
        report: What is brought.
        digest: Of the message: the same message has the same boundaries and ids.
    """
    if report.png is not None:
        html = mail.get_body(("html",))
        if isinstance(html, EmailMessage):
            html.add_related(report.png, "image", "png", cid=f"<{cid(digest)}>", filename="timeline.png", disposition="inline")
            html.set_boundary(f"=_{digest}.related")
    mail.add_attachment(report.html.encode("utf-8", "replace"), "text", "html", filename="report.html")
    mail.set_boundary(f"=_{digest}.mixed")
