//! One image as an OCI archive: a tar of an image layout (image-spec, `image-layout.md`).

use serde_json::{Map, Value, json};

use crate::Error;
use crate::blob::{Blob, sha256};
use crate::layer::{File, gzip, tar};

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Its full name with registry and tag, such as `registry.example/kube-lvs/lvs-agent:0.1.0`.
    pub name: &'a str,
    /// The file name of the program, which stands in the image's root folder and is what it starts.
    pub program: &'a str,
    /// What it is started with, unless a pod says otherwise.
    pub arguments: &'a [&'a str],
    /// The program itself.
    pub binary: &'a [u8],
    /// What the program is made of, as SPDX in JSON; in the image as `/sbom.spdx.json`.
    pub bill: &'a [u8],
    /// `USER` of the image, as `uid:gid`.
    pub user: &'a str,
    /// The architecture as Go names it: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// The time of everything in it, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub created: u64,
    /// Labels of the configuration, annotations of the manifest.
    pub labels: &'a [(&'a str, &'a str)],
}

/// A packed image.
#[derive(Debug)]
pub struct Archive {
    /// The archive's bytes.
    pub bytes: Vec<u8>,
    /// The digest of the manifest, by which a registry knows the image: `sha256:...`.
    pub digest: String,
    /// What is pulled, in bytes: the compressed layer.
    pub compressed: usize,
    /// What it takes on a node, in bytes: the layer unpacked.
    pub unpacked: usize,
}

/// Packs an image.
///
/// # Errors
/// When a tar cannot be written, which takes a path that is too long.
pub fn pack(image: &Image<'_>) -> Result<Archive, Error> {
    let created = timestamp(image.created);
    let mut files = [
        File { path: image.program, mode: 0o755, bytes: image.binary },
        File { path: "sbom.spdx.json", mode: 0o644, bytes: image.bill },
    ];
    let unpacked = tar(&mut files, image.created).map_err(Error::Tar)?;
    let layer = Blob {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
        bytes: gzip(&unpacked).map_err(Error::Tar)?,
    };
    let labels: Map<_, _> =
        image.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let config = json!({
        "created": created,
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": image.user,
            "Entrypoint": [format!("/{}", image.program)],
            "Cmd": image.arguments,
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&unpacked))] },
        "history": [{ "created": created, "created_by": "lvs-images" }],
    });
    let config = document("application/vnd.oci.image.config.v1+json", &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "annotations": labels,
    });
    let manifest = document("application/vnd.oci.image.manifest.v1+json", &manifest)?;
    let digest = format!("sha256:{}", manifest.hex());
    let index = index(&manifest, image);

    let blobs =
        [&layer, &config, &manifest].map(|blob| (format!("blobs/sha256/{}", blob.hex()), blob));
    let index = serde_json::to_vec(&index)?;
    let mut files = vec![
        File { path: "index.json", mode: 0o644, bytes: &index },
        File { path: "oci-layout", mode: 0o644, bytes: br#"{"imageLayoutVersion":"1.0.0"}"# },
    ];
    files.extend(blobs.iter().map(|(path, blob)| File { path, mode: 0o644, bytes: &blob.bytes }));
    let bytes = tar(&mut files, image.created).map_err(Error::Tar)?;
    Ok(Archive { bytes, digest, compressed: layer.bytes.len(), unpacked: unpacked.len() })
}

/// The index names the image twice: containerd takes the full name, others only what is after the colon.
fn index(manifest: &Blob, image: &Image<'_>) -> Value {
    let mut descriptor = manifest.descriptor();
    let tag = image.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    if let Some(fields) = descriptor.as_object_mut() {
        fields.insert(
            "platform".into(),
            json!({ "architecture": image.architecture, "os": "linux" }),
        );
        fields.insert(
            "annotations".into(),
            json!({
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": tag,
            }),
        );
    }
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn document(media_type: &'static str, value: &Value) -> Result<Blob, Error> {
    Ok(Blob { media_type, bytes: serde_json::to_vec(value)? })
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}
