//! Rules of others that set or look for one of our marks.
//!
//! An expression that is not known here makes the rest of its rule unsure, never a failure: what it may have written into a
//! register is forgotten.

use super::message::View;
use std::collections::{BTreeMap, BTreeSet};

/// `NFT_META_MARK`
const MARK: u32 = 3;
/// `NFT_CMP_EQ`
const EQUAL: u32 = 0;

/// What is in a register.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Register {
    /// These bytes.
    Constant(Vec<u8>),
    /// These bits of the packet's mark.
    Mark(u32),
}

/// Which of `marks` a rule's expressions are about, and what it does with it.
pub(super) fn clashing(
    expressions: View<'_>,
    marks: &BTreeSet<u32>,
) -> BTreeMap<u32, &'static str> {
    let mut registers = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (_, expression) in expressions {
        let expression = View(expression);
        let Some(name) = expression.text(1) else { continue };
        let data = expression.nest(2).unwrap_or(View(&[]));
        match name {
            "immediate" => {
                let value = data.nest(2).and_then(|value| value.bytes(1));
                put(&mut registers, data.number(1), value.map(|it| Register::Constant(it.into())));
            }
            "meta" if data.number(2) == Some(MARK) => {
                if data.number(1).is_some() {
                    put(&mut registers, data.number(1), Some(Register::Mark(u32::MAX)));
                } else if let Some(Register::Constant(value)) = take(&registers, data.number(3))
                    && let Some(mark) = number(value).filter(|mark| marks.contains(mark))
                {
                    found.insert(mark, "sets");
                }
            }
            "bitwise" => {
                // NFTA_BITWISE_SREG, _DREG, _MASK, _XOR
                let part = |kind| number(data.nest(kind)?.bytes(1)?);
                let masked = match (take(&registers, data.number(1)), part(4), part(5)) {
                    (Some(Register::Mark(bits)), Some(mask), Some(0)) => {
                        Some(Register::Mark(bits & mask))
                    }
                    _ => None,
                };
                put(&mut registers, data.number(2), masked);
            }
            "cmp" => {
                let value = data.nest(3).and_then(|value| number(value.bytes(1)?));
                if let (Some(Register::Mark(bits)), Some(value)) =
                    (take(&registers, data.number(1)), value)
                    && data.number(2) == Some(EQUAL)
                {
                    found.extend(matching(marks, value, *bits).map(|mark| (mark, "matches")));
                }
            }
            "target" => {
                // struct xt_mark_tginfo2 of the target MARK; a mask that is not whole leaves the rest of another mark.
                if let Some((mark, u32::MAX, _)) = xt_mark(data, "MARK")
                    && marks.contains(&mark)
                {
                    found.insert(mark, "sets");
                }
            }
            "match" => {
                // struct xt_mark_mtinfo1 of the match mark
                if let Some((value, bits, [0, ..])) = xt_mark(data, "mark") {
                    found.extend(matching(marks, value, bits).map(|mark| (mark, "matches")));
                }
            }
            // NFTA_LOOKUP_DREG
            "lookup" => put(&mut registers, data.number(3), None),
            // These load a register too: what was in it is gone.
            _ => put(&mut registers, data.number(1), None),
        }
    }
    found
}

/// Our marks that a comparison of some of their bits finds. One with 0 is for packets without a mark.
fn matching(marks: &BTreeSet<u32>, value: u32, bits: u32) -> impl Iterator<Item = u32> {
    marks.iter().copied().filter(move |mark| value != 0 && mark & bits == value)
}

fn put(registers: &mut BTreeMap<u32, Register>, at: Option<u32>, value: Option<Register>) {
    let Some(at) = at.map(place) else { return };
    match value {
        Some(value) => registers.insert(at, value),
        None => registers.remove(&at),
    };
}

fn take(registers: &BTreeMap<u32, Register>, at: Option<u32>) -> Option<&Register> {
    registers.get(&place(at?))
}

/// `NFT_REG_1` to `NFT_REG_4` are other names for each fourth of the 32-bit registers, which begin with 8.
fn place(register: u32) -> u32 {
    match register {
        1..=4 => 8 + (register - 1) * 4,
        _ => register,
    }
}

/// Marks are in host byte order.
fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// Mark, mask and what follows, of an extension of iptables: `NFTA_TARGET_NAME`, `NFTA_TARGET_INFO`, and the same of a match.
fn xt_mark<'a>(data: View<'a>, name: &str) -> Option<(u32, u32, &'a [u8])> {
    if data.text(1) != Some(name) {
        return None;
    }
    let (mark, rest) = data.bytes(3)?.split_first_chunk::<4>()?;
    let (mask, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_ne_bytes(*mark), u32::from_ne_bytes(*mask), rest))
}
