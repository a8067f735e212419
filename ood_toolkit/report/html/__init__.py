"""A run as one HTML page that opens offline: what it holds, and how it is put together."""
