//! The agent inside the hospital: the party that protects the data.
