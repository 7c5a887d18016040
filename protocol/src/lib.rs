//! One round of secure aggregation, both sides, without input or output.
