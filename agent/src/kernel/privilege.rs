//! Whether the process may change the network.

use super::KernelError;
use std::fs;

/// `CAP_NET_ADMIN` (include/uapi/linux/capability.h).
const NET_ADMIN: u32 = 12;

/// Looks at the calling thread's effective capabilities.
///
/// # Errors
/// [`KernelError::NoNetAdmin`]. Where `/proc` does not tell, it is assumed to be there: the kernel will say.
pub fn require_net_admin() -> Result<(), KernelError> {
    match fs::read_to_string("/proc/thread-self/status").ok().as_deref().and_then(effective) {
        Some(capabilities) if capabilities & (1 << NET_ADMIN) == 0 => Err(KernelError::NoNetAdmin),
        _ => Ok(()),
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_capabilities() {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(effective(&status).is_some());
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000003000\n"), Some(0x3000));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
