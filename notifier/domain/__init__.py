"""The domain: what an upgrade is, what counts as news, who hears of it and in which words.

Pure: values in, values out. No I/O, no clock (``now`` is an argument), no ``await``, no logging. Everything here is a frozen
dataclass, an enumeration or a function, so its tests are tables and laws.
"""
