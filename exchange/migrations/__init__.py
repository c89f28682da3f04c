"""The history of the schema, one file a revision, run under the role that owns it."""
