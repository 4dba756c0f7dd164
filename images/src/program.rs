//! Whether a program runs in an image that has nothing else in it.

use std::fmt;

/// Why a program would not start in an empty image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not a 64-bit little-endian ELF file.
    NoElf,
    /// The ELF header says one architecture, the image another.
    Machine(u16),
    /// The program asks for a dynamic loader, which is not in the image.
    Dynamic,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoElf => write!(out, "it is no 64-bit ELF program"),
            Problem::Machine(found) => {
                write!(out, "it is for another architecture than the image (ELF machine {found})")
            }
            Problem::Dynamic => write!(
                out,
                "it is linked dynamically, and the image has no loader: build it for a musl target, or with -C target-feature=+crt-static"
            ),
        }
    }
}

/// The segment that names the dynamic loader (elf(5)).
const PT_INTERP: u32 = 3;

/// Looks at the ELF header and the program headers (elf(5)).
///
/// # Errors
/// With what is wrong with it.
pub fn check(binary: &[u8], architecture: &str) -> Result<(), Problem> {
    // ELFCLASS64, ELFDATA2LSB.
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return Err(Problem::NoElf);
    }
    let machine = u16::from_le_bytes(bytes(binary, 18)?);
    // EM_X86_64, EM_AARCH64.
    let fits = matches!((machine, architecture), (62, "amd64") | (183, "arm64"));
    if !fits {
        return Err(Problem::Machine(machine));
    }
    let table = u64::from_le_bytes(bytes(binary, 32)?);
    let table = usize::try_from(table).map_err(|_| Problem::NoElf)?;
    let size = usize::from(u16::from_le_bytes(bytes(binary, 54)?));
    let count = usize::from(u16::from_le_bytes(bytes(binary, 56)?));
    for header in 0..count {
        let at = table.checked_add(header * size).ok_or(Problem::NoElf)?;
        if u32::from_le_bytes(bytes(binary, at)?) == PT_INTERP {
            return Err(Problem::Dynamic);
        }
    }
    Ok(())
}

fn bytes<const N: usize>(binary: &[u8], at: usize) -> Result<[u8; N], Problem> {
    let end = at.checked_add(N).ok_or(Problem::NoElf)?;
    binary.get(at..end).and_then(|found| found.try_into().ok()).ok_or(Problem::NoElf)
}
