//! Names as Kubernetes spells them (k8s.io/apimachinery/pkg/util/validation), without its regular expressions.

/// The rule of a port's name; [`unfit_port_names`] is its twin.
pub(super) const PORT_NAME: &str = "!format.dns1123Label().validate(self).hasValue()";
pub(super) const PORT_NAME_MESSAGE: &str = "not a port name; use lower-case letters, digits and '-', at most 63, \
                                            with a letter or digit at both ends";

/// Which of a spec's `ports` have a name that is none.
pub(super) fn unfit_port_names<P>(ports: &[P], name: impl Fn(&P) -> Option<&str>) -> Vec<String> {
    let unfit = |port: &P| name(port).is_some_and(|name| !is_dns_label(name));
    super::blame_items("ports", ports, ".name", unfit)
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, of any length.
fn is_label_of_any_length(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(is_lower_alphanumeric)
        && bytes.last().copied().is_some_and(is_lower_alphanumeric)
        && bytes.iter().all(|&b| is_lower_alphanumeric(b) || b == b'-')
}

/// An RFC 1123 label: at most 63 lower-case letters, digits and `-`.
pub(super) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

/// An RFC 1123 subdomain, as the names of most objects are: at most 253 characters, labels with dots between.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label_of_any_length)
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`, at most 63.
fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// A label's value: empty, or at most 63 letters, digits, `-`, `_` and `.`.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_text(text)
}

/// A label's key: a name, with or without a subdomain and `/` before it.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label_text(name),
        None => is_label_text(text),
    }
}

/// A network interface's name as the kernel takes it (dev_valid_name, net/core/dev.c), in printable ASCII.
pub(super) fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
}

/// A MAC address: six pairs of hexadecimal digits with colons between.
pub(super) fn is_mac(text: &str) -> bool {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(is_pair)
}
