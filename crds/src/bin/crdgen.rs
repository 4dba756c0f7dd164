//! Writes the CRDs into the chart: `cargo run -p lvs-crds --bin crdgen [DIR]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let folder = folder();
    if folder.to_string_lossy().starts_with('-') {
        eprintln!("usage: crdgen [DIR], by default the chart's folder for CRDs");
        return ExitCode::FAILURE;
    }
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crdgen: cannot write the CRDs into {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// The folder named on the command line, else the chart's, which cargo's variable leads to.
fn folder() -> PathBuf {
    env::args_os().nth(1).map(PathBuf::from).unwrap_or_else(|| {
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        package.join("..").join(lvs_crds::CHART_FOLDER)
    })
}

fn write(folder: &PathBuf) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for file in lvs_crds::crd_files().map_err(io::Error::other)? {
        fs::write(folder.join(&file.name), file.text)?;
        println!("{}", file.name);
    }
    Ok(())
}
