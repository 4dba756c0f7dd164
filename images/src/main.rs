//! `lvs-images`: packs the programs that `images/build.sh` has built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use clap::Parser;
use lvs_images::{Error, Image, bill, lock, pack, program};

/// Packs lvs-agent and lvs-operator as OCI archives, each with its bill of materials.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The folder of the static programs lvs-agent and lvs-operator.
    #[arg(long)]
    programs: PathBuf,
    /// The target triple that they were built for.
    #[arg(long)]
    target: String,
    /// What the images' names begin with: registry and organisation.
    #[arg(long)]
    registry: String,
    /// The images' tag.
    #[arg(long)]
    tag: String,
    /// The time of everything in the images, in seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    created: u64,
    /// So many megabytes an archive may take at most: what is pulled and stored. Without it, any.
    #[arg(long, value_name = "MB")]
    limit: Option<usize>,
    /// The folder to write to.
    #[arg(long)]
    out: PathBuf,
}

/// A package, which names its image and its program too, and the image's user.
///
/// The agent is root, since capabilities that Kubernetes adds are of no effect for anybody else.
const IMAGES: [(&str, &str); 2] = [("lvs-agent", "0:0"), ("lvs-operator", "65532:65532")];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("images: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let architecture = match arguments.target.split('-').next() {
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        _ => anyhow::bail!("--target {}: neither x86_64 nor aarch64", arguments.target),
    };
    let checksums = lock::checksums(
        &fs::read_to_string("Cargo.lock")
            .context("cannot read Cargo.lock: run it in the workspace")?,
    );
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make {}", arguments.out.display()))?;
    for (package, user) in IMAGES {
        let path = arguments.programs.join(package);
        let binary = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        program::check(&binary, architecture)
            .map_err(|problem| Error::Program { path, problem })?;
        let packages = lock::packages(&tree(package, &arguments.target)?)?;
        let bill = bill::spdx(&packages, &checksums, arguments.created)?;
        let name = format!("{}/{package}:{}", arguments.registry, arguments.tag);
        let archive = pack(&Image {
            name: &name,
            program: package,
            arguments: &[],
            binary: &binary,
            bill: &bill,
            user,
            architecture,
            created: arguments.created,
            labels: &[
                ("org.opencontainers.image.title", package),
                ("org.opencontainers.image.version", &arguments.tag),
                ("org.opencontainers.image.licenses", "Apache-2.0"),
            ],
        })?;
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        println!(
            "{name}: {:.1} MB, {:.1} MB to pull, {} packages, {}",
            megabytes(archive.unpacked),
            megabytes(archive.compressed),
            packages.len(),
            archive.digest
        );
        if let Some(limit) = arguments.limit {
            let fits = archive.bytes.len() <= limit * 1_000_000;
            ensure!(fits, "{name}'s archive is larger than {limit} MB");
        }
        write(&arguments.out.join(format!("{package}.tar")), &archive.bytes)?;
        write(&arguments.out.join(format!("{package}.spdx.json")), &bill)?;
        write(
            &arguments.out.join(format!("{package}.digest")),
            format!("{}\n", archive.digest).as_bytes(),
        )?;
    }
    Ok(())
}

fn tree(package: &str, target: &str) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--target", target])
        .args(lock::TREE)
        .output()
        .context("cannot run cargo tree")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {}", said.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
