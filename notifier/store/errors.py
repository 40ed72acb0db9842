"""What can be wrong with a store, in words that say what to do."""


class StoreError(Exception):
    """The store cannot be used; the message names it and the remedy, and no password."""


class StoreBusy(StoreError):
    """Another process holds the SQLite file."""


class StoreFull(StoreError):
    """There is no room left. Nothing that was committed is lost, and it goes on by itself once there is room."""


class StoreDamaged(StoreError):
    """The file is not a sound database, or the disk under it fails: writing on would make it worse."""


class Fenced(StoreError):
    """Somebody else took over in the meantime: what was to be written is no longer ours to write."""
