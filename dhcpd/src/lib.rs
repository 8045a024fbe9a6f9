//! dhcpd
