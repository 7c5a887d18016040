//! Who may do what with which data, and why not.
