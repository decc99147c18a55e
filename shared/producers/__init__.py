"""What do the messages of outside producers mean in our events? One file a producer: for ingest and for imports alike."""
