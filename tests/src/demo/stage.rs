//! What the audience sees: commands with their real output, requests as they are answered, shares as bars.
//!
//! Colours only where the host's side found a terminal (`LVS_DEMO_COLOR`), since inside a guest nothing is one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::net::Node;

use crate::cast::PICTURE;

/// Set by the host's side when its output is a terminal.
pub(crate) const COLOR: &str = "LVS_DEMO_COLOR";

/// The longest bar, in characters.
const LONGEST_BAR: usize = 40;
/// Between two requests, so that an eye can follow.
const PACE: Duration = Duration::from_millis(25);

/// The terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    color: bool,
}

impl Stage {
    /// One with colours, or without.
    pub(crate) fn new(color: bool) -> Stage {
        Stage { color }
    }

    /// What this is, and who plays.
    pub(crate) fn introduce(self, what: &str) {
        self.introduce_with(what, PICTURE);
    }

    /// What this is, and who plays, with a picture of them.
    pub(crate) fn introduce_with(self, what: &str, picture: &str) {
        println!("{}", self.in_style("1", "kube-lvs, live"));
        self.say(&format!("Real parts: {what}"));
        self.say(picture);
    }

    /// A part of the play.
    pub(crate) fn part(self, title: &str) {
        println!("\n{}", self.in_style("1;36", &format!("== {title}")));
    }

    /// A sentence to the audience.
    pub(crate) fn say(self, text: &str) {
        for line in text.lines() {
            println!("{}", self.in_style("2", &format!("   {line}")));
        }
    }

    /// A command as it would be typed on `machine`; nothing before the `$` is the admin's own machine.
    pub(crate) fn command(self, machine: &str, words: &str) {
        println!("{}", self.in_style("1", &format!("{machine}$ {words}")));
    }

    /// What a client of our own does next.
    pub(crate) fn act(self, machine: &str, what: &str) {
        println!("{}", self.in_style("1", &format!("{machine}: {what}")));
    }

    /// Something that takes a while, with the time it took.
    pub(crate) fn wait<T>(self, what: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        print!("   {what} ... ");
        // Nothing is lost where it cannot be shown at once.
        let _ = std::io::stdout().flush();
        let done = work();
        println!("{:.1} s", start.elapsed().as_secs_f64());
        done
    }

    /// What a command said, as it said it.
    pub(crate) fn output(self, text: &str) {
        let text = text.trim_end();
        if !text.is_empty() {
            println!("{text}");
        }
    }

    /// Requests, each shown by the name of the server that answered, then the shares.
    pub(crate) fn requests(
        self,
        count: usize,
        mut ask: impl FnMut(usize) -> anyhow::Result<String>,
    ) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        print!("   ");
        for number in 0..count {
            let server = ask(number).inspect_err(|_| println!())?;
            // One letter is enough for the eye: the bars below have the names.
            print!("{}", initial(&server));
            std::io::stdout().flush()?;
            *shares.entry(server).or_default() += 1;
            sleep(PACE);
        }
        println!();
        for (server, share) in &shares {
            println!("   {server:<10} {share:>3}  {}", self.in_style("32", &bar(*share, count)));
        }
        Ok(shares)
    }

    fn in_style(self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Runs a command in a machine, before the audience's eyes.
pub(crate) fn show(stage: Stage, node: &Node, words: &str) -> anyhow::Result<()> {
    stage.command(node.name(), words);
    stage.output(&node.sh(words)?);
    Ok(())
}

/// How a server is shown while requests are under way: d for director1, 2 for rs2.
fn initial(server: &str) -> char {
    match server.strip_prefix("rs") {
        Some(number) => number.chars().next().unwrap_or('r'),
        None => server.chars().next().unwrap_or('?'),
    }
}

/// A bar for a share of a whole, at least one character for a share that is not nothing.
fn bar(share: usize, whole: usize) -> String {
    let length = (share * LONGEST_BAR).div_ceil(whole.max(1));
    "#".repeat(length)
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_in_proportion_and_never_vanishes() {
        assert_eq!(bar(30, 30).len(), 40);
        assert_eq!(bar(20, 30).len(), 27);
        assert_eq!(bar(1, 1000).len(), 1);
        assert_eq!(bar(0, 30), "");
        assert_eq!(bar(0, 0), "");
    }
}
