//! The coordinator: schedules studies, recovers aggregates, keeps the log.
