//! How objects reach the agents: through an API server, or as files.

use crate::stage::Stage;

/// What both ways can do. Each shows the command that does it.
pub(crate) trait System {
    /// Applies a manifest of `examples/`, and waits until the status says that the kernel was read back against it.
    fn apply(&self, stage: Stage, manifest: &str) -> anyhow::Result<()>;

    /// Gives a real server of an applied manifest another weight.
    fn set_weight(
        &self,
        stage: Stage,
        manifest: &str,
        server: &str,
        weight: u32,
    ) -> anyhow::Result<()>;

    /// Shows what there is, at a glance.
    fn list(&self, stage: Stage) -> anyhow::Result<()>;

    /// Shows how the virtual service is, and why.
    fn conditions(&self, stage: Stage) -> anyhow::Result<()>;

    /// Takes a manifest back.
    fn delete(&self, stage: Stage, manifest: &str) -> anyhow::Result<()>;
}
