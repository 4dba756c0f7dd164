//! Objects, as a user with all rights handles them.

use std::fmt::Debug;
use std::path::Path;

use anyhow::Context as _;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, ValidationDirective,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ClusterResourceScope, GroupVersionKind, NamespaceResourceScope, TypeMeta};
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;

use super::ControlPlane;

impl ControlPlane {
    /// Applies every document of a manifest, server-side, as a user's `kubectl apply` would: unknown fields are errors,
    /// objects without a namespace go to `default`.
    ///
    /// # Errors
    /// With the server's message, at the first document that it refuses.
    pub fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        self.send(manifest, false)
    }

    /// As [`ControlPlane::apply`], but the server only says what it would do.
    ///
    /// # Errors
    /// With the server's message, at the first document that it refuses.
    pub fn dry_run(&self, manifest: &str) -> anyhow::Result<()> {
        self.send(manifest, true)
    }

    fn send(&self, manifest: &str, dry_run: bool) -> anyhow::Result<()> {
        for object in documents(manifest)? {
            let name = object.metadata.name.clone().context("metadata.name is missing")?;
            let mut params = PatchParams { dry_run, ..PatchParams::apply("test").force() };
            params.field_validation = Some(ValidationDirective::Strict);
            self.block_on(async {
                let api = self.api_of(&object).await?;
                api.patch(&name, &params, &Patch::Apply(&object)).await.map_err(plain)
            })?;
        }
        Ok(())
    }

    /// Deletes every object of a manifest.
    ///
    /// # Errors
    /// With the server's message, at the first that is not there.
    pub fn delete(&self, manifest: &str) -> anyhow::Result<()> {
        for object in documents(manifest)? {
            let name = object.metadata.name.clone().context("metadata.name is missing")?;
            self.block_on(async {
                let api = self.api_of(&object).await?;
                api.delete(&name, &DeleteParams::default()).await.map_err(plain)
            })?;
        }
        Ok(())
    }

    /// Reads an object of a namespace.
    pub fn get<K>(&self, namespace: &str, name: &str) -> anyhow::Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.block_on(Api::namespaced(self.client(), namespace).get(name)).map_err(plain)
    }

    /// Reads an object of the cluster.
    pub fn get_cluster<K>(&self, name: &str) -> anyhow::Result<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.block_on(Api::all(self.client()).get(name)).map_err(plain)
    }

    /// Reads all objects of a kind, of all namespaces.
    pub fn list<K>(&self) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let all = Api::all(self.client());
        Ok(self.block_on(all.list(&ListParams::default())).map_err(plain)?.items)
    }

    async fn api_of(&self, object: &DynamicObject) -> anyhow::Result<Api<DynamicObject>> {
        let types = object.types.clone().context("apiVersion and kind are missing")?;
        self.api(&types, object.metadata.namespace.as_deref().unwrap_or("default")).await
    }

    pub(super) async fn api(
        &self,
        types: &TypeMeta,
        namespace: &str,
    ) -> anyhow::Result<Api<DynamicObject>> {
        let (resource, capabilities) = self.kind(types).await?;
        Ok(match capabilities.scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client(), namespace, &resource),
        })
    }

    /// Asked once a kind.
    async fn kind(&self, types: &TypeMeta) -> anyhow::Result<(ApiResource, ApiCapabilities)> {
        let key = format!("{}/{}", types.api_version, types.kind);
        let locked = || self.kinds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = locked().get(&key) {
            return Ok(known.clone());
        }
        let found = pinned_kind(&self.client(), &GroupVersionKind::try_from(types)?).await;
        let found = found.with_context(|| format!("the server knows no {key}"))?;
        locked().insert(key, found.clone());
        Ok(found)
    }
}

/// The documents of a YAML (or JSON) text.
pub(super) fn documents(manifest: &str) -> anyhow::Result<Vec<DynamicObject>> {
    serde_saphyr::from_multiple(manifest)
        .with_context(|| format!("no YAML of objects:\n{manifest}"))
}

pub(super) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The answer to a GET of a path, whatever it is.
pub(super) async fn raw(client: &Client, path: &str) -> anyhow::Result<String> {
    let request = kube::core::Request::new(path).list(&ListParams::default())?;
    Ok(client.request_text(request).await?)
}

/// What the server says, without the frame around it.
pub(super) fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::Error::msg(status.message.clone()),
        other => other.into(),
    }
}
