//! Which build this is.

use serde::Serialize;

/// Version of all programs: they are released together.
pub const SHORT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints after the program's name.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit   ",
    env!("BUILD_COMMIT"),
    "\nbuilt    ",
    env!("BUILD_DATE"),
    "\ncompiler ",
    env!("BUILD_COMPILER"),
    "\nhost     ",
    env!("BUILD_HOST"),
    "\nuser     ",
    env!("BUILD_USER"),
);

/// The same as fields, for `/version`.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// Name of the program.
    pub program: &'static str,
    /// Release.
    pub version: &'static str,
    /// Commit of the source.
    pub commit: &'static str,
    /// When it was built, UTC.
    pub date: &'static str,
    /// The compiler's own words.
    pub compiler: &'static str,
    /// Where it was built.
    pub host: &'static str,
    /// By whom.
    pub user: &'static str,
}

impl Version {
    /// The build this is.
    pub const fn of(program: &'static str) -> Version {
        Version {
            program,
            version: SHORT_VERSION,
            commit: env!("BUILD_COMMIT"),
            date: env!("BUILD_DATE"),
            compiler: env!("BUILD_COMPILER"),
            host: env!("BUILD_HOST"),
            user: env!("BUILD_USER"),
        }
    }
}
