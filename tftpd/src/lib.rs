//! tftpd
