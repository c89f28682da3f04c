"""Wire shapes: what a request may say, shared by the API and the SDK."""
