//! Bytes as hexadecimal digits.

use crate::failure::BadCheck;

pub(crate) fn bytes(field: &'static str, digits: &str) -> Result<Vec<u8>, BadCheck> {
    let wrong = || BadCheck::new(field, "not pairs of hexadecimal digits, such as 70696e67");
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    digits.as_bytes().chunks(2).map(|it| pair(it).ok_or_else(wrong)).collect()
}
