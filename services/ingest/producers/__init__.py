"""The routes that outside producers send to, one file for each producer: who sent a request, and which messages are in it?

What a message means is in `shared.producers`.
"""
