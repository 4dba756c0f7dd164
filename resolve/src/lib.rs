//! From what users wrote and what the cluster has to what is to be programmed; pure.
