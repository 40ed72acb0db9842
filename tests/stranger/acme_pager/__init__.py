"""A sink for an imaginary company, as a stranger would write it: the one of docs/how-to/write-a-sink.md."""
