//! Our objects, and CRDs, by `KIND/NAME`, in any of the names that kubectl takes. A start of kubectl costs a guest a second.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::TypeMeta;
use kube::runtime::wait::await_condition;
use lvs_crds::all_crds;

use super::ControlPlane;
use super::objects::plain;
use crate::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);

impl ControlPlane {
    /// `KIND/NAME` as it is now, if it is there.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn read(&self, object: &str) -> anyhow::Result<Option<DynamicObject>> {
        let (kind, name) = named(object)?;
        self.block_on(async { self.api_of_kind(kind).await?.get_opt(name).await.map_err(plain) })
    }

    /// Changes `KIND/NAME` by a JSON patch.
    ///
    /// # Errors
    /// With the server's message.
    pub fn patch(&self, object: &str, patch: &str) -> anyhow::Result<()> {
        let (kind, name) = named(object)?;
        let patch = Patch::<()>::Json(serde_json::from_str(patch)?);
        self.block_on(async {
            let api = self.api_of_kind(kind).await?;
            api.patch(name, &PatchParams::default(), &patch).await.map_err(plain)
        })?;
        Ok(())
    }

    /// Deletes `KIND/NAME`, and waits until it is gone.
    ///
    /// # Errors
    /// With the server's message.
    #[track_caller]
    pub fn delete_named(&self, object: &str) -> anyhow::Result<()> {
        let (kind, name) = named(object)?;
        self.block_on(async {
            let api = self.api_of_kind(kind).await?;
            api.delete(name, &DeleteParams::default()).await.map_err(plain)
        })?;
        wait_for(&format!("{object} is gone"), PATIENCE, || match self.read(object) {
            Ok(None) => Ok(()),
            found => Err(found.map(|it| it.is_some())),
        });
        Ok(())
    }

    /// Deletes all that users make, in the namespace `default`, and waits until it is gone.
    ///
    /// # Errors
    /// With the server's message.
    #[track_caller]
    pub fn delete_all(&self) -> anyhow::Result<()> {
        let kinds = ["virtualservice", "realserver", "directorgroup"];
        for kind in kinds {
            self.block_on(async {
                let (all, none) = (ListParams::default(), DeleteParams::default());
                let api = self.api_of_kind(kind).await?;
                api.delete_collection(&none, &all).await.map_err(plain)
            })?;
        }
        for kind in kinds {
            wait_for(&format!("every {kind} is gone"), PATIENCE, || {
                let left = self.block_on(async {
                    let api = self.api_of_kind(kind).await?;
                    let left = api.list_metadata(&ListParams::default()).await.map_err(plain)?;
                    anyhow::Ok(left.items.len())
                });
                if matches!(left, Ok(0)) { Ok(()) } else { Err(left) }
            });
        }
        Ok(())
    }

    /// Waits until `KIND/NAME` has a condition for its current generation, as `kubectl wait` does: `Programmed`, or
    /// `Accepted=False`.
    ///
    /// # Errors
    /// When time is up, with the status that it has.
    pub fn wait_for_condition(
        &self,
        object: &str,
        condition: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let (type_, status) = condition.split_once('=').unwrap_or((condition, "True"));
        let (kind, name) = named(object)?;
        let holds = |found: Option<&DynamicObject>| {
            let Some(found) = found else { return false };
            let conditions = found.data["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|it| {
                it["type"] == type_
                    && it["status"] == status
                    && it["observedGeneration"].as_i64() >= found.metadata.generation
            })
        };
        let waited = self.block_on(async {
            let api = self.api_of_kind(kind).await?;
            // A watch: to ask again and again would take the guest's CPU from those who are waited for.
            // One that breaks off is begun again, as kubectl's is not.
            let waited = tokio::time::timeout(limit, async {
                while await_condition(api.clone(), name, &holds).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            anyhow::Ok(waited.await.is_ok())
        })?;
        let found = self.read(object)?.with_context(|| format!("{object} is not there"))?;
        ensure!(waited, "{object} is not {type_}={status}: {:#}", found.data["status"]);
        Ok(())
    }

    async fn api_of_kind(&self, kind: &str) -> anyhow::Result<Api<DynamicObject>> {
        if kind == "crd" {
            return self.api(&TypeMeta::resource::<CustomResourceDefinition>(), "default").await;
        }
        let crds = all_crds();
        let of_it = crds.iter().find(|crd| {
            let names = &crd.spec.names;
            let short = names.short_names.iter().flatten().any(|it| it == kind);
            short || names.plural == kind || names.kind.to_lowercase() == kind
        });
        let crd = of_it.with_context(|| format!("none of our kinds is called {kind}"))?;
        let version = crd.spec.versions.first().context("a CRD without a version")?;
        let types = TypeMeta {
            api_version: format!("{}/{}", crd.spec.group, version.name),
            kind: crd.spec.names.kind.clone(),
        };
        self.api(&types, "default").await
    }
}

fn named(object: &str) -> anyhow::Result<(&str, &str)> {
    object.split_once('/').with_context(|| format!("{object:?} is not KIND/NAME"))
}
