//! Resolves VirtualServices to slices and reports what the nodes say of them.
