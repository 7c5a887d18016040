//! Differential privacy: exact integer noise, accounting, calibration and the budget of a data set.
