"""When things happen. The only loops: the clock, the poller and the dispatcher; they meet in the store."""
