//! PROVING (dev only).
