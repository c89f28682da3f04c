"""The book: double entry and a Merkle log, knowing the sessions handed to it and nothing of the exchange."""
