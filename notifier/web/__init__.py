"""The window: status page, REST, health and metrics.

It reads the store; all it changes is what people ask it to: to send dead deliveries again, to add and to end silences.
"""
