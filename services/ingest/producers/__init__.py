"""Where outside producers send to. One file a producer: how a request is authenticated and split into messages."""
