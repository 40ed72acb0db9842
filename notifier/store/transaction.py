"""One transaction: everything that is read and written, in one place for those who call it, in one file a subject."""

from notifier.store.dossiers import Dossiers
from notifier.store.inquiries import Inquiries
from notifier.store.knowledge import Knowledge
from notifier.store.silences import Silences
from notifier.store.sinks import Sinks
from notifier.store.stories import Stories


class Transaction(Knowledge, Sinks, Silences, Inquiries, Dossiers, Stories):
    """All that can be done with the store. Moments are seconds since 1970; PostgreSQL judges leases by its own clock."""
