"""Which of our events do the messages of outside producers become? One file for each producer, for ingest and imports."""
