//! Makes one node's kernel match the slices.
