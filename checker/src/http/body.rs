//! What is wanted of an answer's body.

use super::Answer;
use crate::answer::MOST;
use crate::failure::{BadCheck, Failure};
use crate::hex;
use lvs_crds::HttpCheck;
use regex::bytes::{Regex, RegexBuilder};
use sha2::{Digest as _, Sha256};

/// The largest program that a regular expression becomes.
const REGEX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Wanted {
    regex: Option<Regex>,
    sha256: Option<Vec<u8>>,
}

impl Wanted {
    pub(super) fn new(check: &HttpCheck) -> Result<Option<Self>, BadCheck> {
        let built = |text: &String| RegexBuilder::new(text).size_limit(REGEX).build();
        let regex = check.body_regex.as_ref().map(built).transpose();
        let regex = regex.map_err(|error| BadCheck::new("http.bodyRegex", error))?;
        let field = "http.bodySha256";
        let digits = check.body_sha256.as_deref();
        let sha256 = digits.map(|digits| hex::bytes(field, digits)).transpose()?;
        if sha256.as_ref().is_some_and(|it| it.len() != 32) {
            return Err(BadCheck::new(
                field,
                "not 64 hexadecimal digits, as sha256sum prints them",
            ));
        }
        let any = regex.is_some() || sha256.is_some();
        Ok(any.then_some(Self { regex, sha256 }))
    }

    pub(super) fn judge(&self, status: u16, answer: &Answer) -> Result<(), Failure> {
        if self.regex.as_ref().is_some_and(|regex| !regex.is_match(&answer.body)) {
            let problem = format!("HTTP {status}, and bodyRegex is not in the body");
            return Err(Failure::Answer(problem));
        }
        if let Some(wanted) = &self.sha256 {
            if answer.cut {
                let problem = format!("HTTP {status}, and the body is longer than {MOST} bytes");
                return Err(Failure::Answer(problem));
            }
            if Sha256::digest(&answer.body).as_slice() != wanted.as_slice() {
                let problem = format!("HTTP {status}, and the body has another SHA-256");
                return Err(Failure::Answer(problem));
            }
        }
        Ok(())
    }
}
