pytest_plugins = ["notifier.sinks.conformance"]
