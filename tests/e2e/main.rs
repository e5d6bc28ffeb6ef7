//! End-to-end tests of a whole federation, one module per adversary.
