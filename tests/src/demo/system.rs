//! How objects reach the agents: through an API server, or as files.

use crate::stage::Stage;

/// What both ways can do.
pub(crate) trait System {
    /// Applies a manifest of `examples/`, and waits until the status says that the kernel was read back against it.
    fn apply(&self, stage: Stage, manifest: &str, service: &str) -> anyhow::Result<()>;

    /// Gives a real server another weight.
    fn set_weight(
        &self,
        stage: Stage,
        manifest: &str,
        server: &str,
        weight: u32,
    ) -> anyhow::Result<()>;
}
