//! A kernel in memory, for tests of what calls one.
