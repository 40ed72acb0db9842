"""Watches upgrades of Huawei Cloud CSS clusters and tells the right people, once, where they already are."""

__version__ = "0.1.0"
