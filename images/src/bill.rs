//! The bill of materials: SPDX 2.3 in JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Error;
use crate::archive::timestamp;
use crate::blob::sha256;
use crate::lock::Package;

/// The document for a program of these packages, the program's own first.
///
/// # Errors
/// When there are no packages.
pub fn spdx(
    packages: &[Package],
    checksums: &BTreeMap<(String, String), String>,
    created: u64,
) -> Result<Vec<u8>, Error> {
    let own = packages.first();
    let own = own.ok_or_else(|| Error::Dependencies("cargo tree listed nothing".to_owned()))?;
    let described: Vec<_> = packages.iter().map(|package| describe(package, checksums)).collect();
    // What makes a namespace unique is what the document says (SPDX 2.3, section 6.5).
    let unique = sha256(&serde_json::to_vec(&described)?);
    let mut relationships = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": id(own),
    })];
    relationships.extend(packages.iter().skip(1).map(|package| {
        json!({
            "spdxElementId": id(own),
            "relationshipType": "DEPENDS_ON",
            "relatedSpdxElement": id(package),
        })
    }));
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}", own.name, own.version),
        "documentNamespace": format!("https://kube-lvs.io/spdx/{}-{}-{unique}", own.name, own.version),
        "creationInfo": {
            "created": timestamp(created),
            "creators": [concat!("Tool: lvs-images-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": described,
        "relationships": relationships,
    });
    Ok(serde_json::to_vec_pretty(&document)?)
}

fn describe(package: &Package, checksums: &BTreeMap<(String, String), String>) -> Value {
    let license = match package.license.as_str() {
        "" => "NOASSERTION",
        license => license,
    };
    let mut described = json!({
        "SPDXID": id(package),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": format!("pkg:cargo/{}@{}", package.name, package.version),
        }],
    });
    let checksum = checksums.get(&(package.name.clone(), package.version.clone()));
    if let (Some(checksum), Some(fields)) = (checksum, described.as_object_mut()) {
        let checksums = json!([{ "algorithm": "SHA256", "checksumValue": checksum }]);
        fields.insert("checksums".into(), checksums);
    }
    described
}

/// Letters, digits, dots and hyphens only (SPDX 2.3, section 7.2).
fn id(package: &Package) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name = format!("{}-{}", package.name, package.version);
    format!("SPDXRef-Package-{}", name.chars().map(plain).collect::<String>())
}
