//! What is learned: studies, tables, statistics, models and objectives.
