//! THE CONTRACT: the types generated from `smdcache/v1/*.proto`, whose comments are its manual.
//!
//! Both sides use these types at their edge only: smd-cache in `service`, the daemons through `inventory`.

/// Package `smdcache.v1`.
#[allow(missing_docs, unused_qualifications, clippy::all)] // generated; documented in the .proto files
pub mod v1 {
    tonic::include_proto!("smdcache.v1");
}

/// The contract as an encoded `FileDescriptorSet`, for server reflection and for the compatibility test.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/smdcache.bin"));
