//! smd-cache
