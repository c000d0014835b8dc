//! Listeners, workers and the registry of live connections.
