"""A whole private market for developers, in processes of its own: database, log, keys, chain, a bank, people and samples."""
