"""The window: status page, REST, health and metrics. It reads the store; all it changes is to send dead deliveries again."""
