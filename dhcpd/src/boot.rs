//! Boot files: PXE, iPXE, UEFI HTTP.
