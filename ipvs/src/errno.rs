//! Error numbers of the kernel.

use std::fmt;
use std::io;

/// An errno, positive. Prints as `No such process (ESRCH)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// No such file or directory.
    pub const ENOENT: Self = Self(2);
    /// No such process.
    pub const ESRCH: Self = Self(3);
    /// Interrupted system call.
    pub const EINTR: Self = Self(4);
    /// Resource temporarily unavailable.
    pub const EAGAIN: Self = Self(11);
    /// Cannot allocate memory.
    pub const ENOMEM: Self = Self(12);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Device or resource busy.
    pub const EBUSY: Self = Self(16);
    /// File exists.
    pub const EEXIST: Self = Self(17);
    /// No such device.
    pub const ENODEV: Self = Self(19);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
    /// Numerical result out of range.
    pub const ERANGE: Self = Self(34);
    /// Message too long.
    pub const EMSGSIZE: Self = Self(90);
    /// Protocol not supported.
    pub const EPROTONOSUPPORT: Self = Self(93);
    /// Operation not supported.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Address family not supported by protocol.
    pub const EAFNOSUPPORT: Self = Self(97);
    /// Cannot assign requested address.
    pub const EADDRNOTAVAIL: Self = Self(99);
    /// No buffer space available.
    pub const ENOBUFS: Self = Self(105);

    /// The symbol, where this crate knows it.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::EPERM => "EPERM",
            Self::ENOENT => "ENOENT",
            Self::ESRCH => "ESRCH",
            Self::EINTR => "EINTR",
            Self::EAGAIN => "EAGAIN",
            Self::ENOMEM => "ENOMEM",
            Self::EACCES => "EACCES",
            Self::EBUSY => "EBUSY",
            Self::EEXIST => "EEXIST",
            Self::ENODEV => "ENODEV",
            Self::EINVAL => "EINVAL",
            Self::ERANGE => "ERANGE",
            Self::EMSGSIZE => "EMSGSIZE",
            Self::EPROTONOSUPPORT => "EPROTONOSUPPORT",
            Self::EOPNOTSUPP => "EOPNOTSUPP",
            Self::EAFNOSUPPORT => "EAFNOSUPPORT",
            Self::EADDRNOTAVAIL => "EADDRNOTAVAIL",
            Self::ENOBUFS => "ENOBUFS",
            _ => return None,
        })
    }

    /// Whether an I/O error carries this number.
    pub(crate) fn is(self, error: &io::Error) -> bool {
        error.raw_os_error() == Some(self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.0).to_string();
        match self.name() {
            // std appends " (os error 3)"; the symbol says more.
            Some(name) => {
                write!(f, "{} ({name})", text.split(" (os error").next().unwrap_or(&text))
            }
            None => f.write_str(&text),
        }
    }
}
