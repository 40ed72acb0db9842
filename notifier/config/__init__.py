"""The configuration: one YAML file and the environment in, frozen settings out, or everything that is wrong with it at once."""

from notifier.config.load import load
from notifier.config.problems import ConfigError, Problem
from notifier.config.schema import json_schema
from notifier.config.settings import MatchSettings, ProjectSettings, Settings, SinkEntry

__all__ = ["ConfigError", "MatchSettings", "Problem", "ProjectSettings", "Settings", "SinkEntry", "json_schema", "load"]
