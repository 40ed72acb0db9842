"""One transaction: everything that is read and written, in one place for those who call it, in one file a subject."""

from notifier.store.catalogue import Catalogue
from notifier.store.conditions import Conditions
from notifier.store.discoveries import Discoveries
from notifier.store.dossiers import Dossiers
from notifier.store.given_up import GivenUp
from notifier.store.history import Histories
from notifier.store.inquiries import Inquiries
from notifier.store.keepsakes import Keepsakes
from notifier.store.replicas import Replicas
from notifier.store.silences import Silences
from notifier.store.sinks import Sinks
from notifier.store.standings import Standings
from notifier.store.stories import Stories
from notifier.store.vitals import Vitals


class Transaction(
    GivenUp,
    Conditions,
    Standings,
    Histories,
    Sinks,
    Replicas,
    Silences,
    Inquiries,
    Catalogue,
    Keepsakes,
    Discoveries,
    Vitals,
    Dossiers,
    Stories,
):
    """All that can be done with the store. Moments are seconds since 1970; PostgreSQL judges leases by its own clock."""
