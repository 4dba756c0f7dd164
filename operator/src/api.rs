//! The only place that writes to the API server. Every write passes the lease's gate and carries the resourceVersion
//! of the object it was computed from: one that comes late, from a replica that has lost the lease without knowing,
//! is answered 409 and changes nothing.

use crate::lease::gate::Gate;
use crate::metrics::Metrics;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective};
use kube::{Api, Client, ResourceExt};
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use lvs_resolve::Key;
use serde_json::Value;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;

/// Our name as a field manager and as the reporter of events.
pub const MANAGER: &str = "kube-lvs-operator";
/// The field manager of what comes from the chart's values, of which we only write the status by our own name.
pub const VALUES_MANAGER: &str = "kube-lvs-values";
/// The DirectorGroup of the chart's values: what a VirtualService uses that names no group.
pub const DEFAULT_GROUP: &str = "default";

/// After that long without an answer a write counts as failed; what it did is seen by the watch.
const LIMIT: Duration = Duration::from_secs(30);

/// Something to write. Objects carry the resourceVersion that they were computed from, except what is created.
#[derive(Clone, Debug)]
pub enum Write {
    /// A slice that is not there yet.
    CreateSlice(Box<VirtualServiceSlice>),
    /// A slice that is there.
    ApplySlice(Box<VirtualServiceSlice>),
    /// A slice that is to go.
    DeleteSlice(Doomed),
    /// A VirtualService's status.
    VirtualServiceStatus(Box<VirtualService>),
    /// A RealServer's status.
    RealServerStatus(Box<RealServer>),
    /// A DirectorGroup's status.
    DirectorGroupStatus(Box<DirectorGroup>),
    /// The LVSNode of a node that is gone, if it is gone.
    DeleteLvsNode(Doomed),
    /// The DirectorGroup of the chart's values, whole. Fields that somebody else has changed make it fail as stale.
    DefaultGroup(Box<Value>),
    /// An event.
    Event(Box<Event>),
}

/// An object to delete, if it is still what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Its name.
    pub key: Key,
    /// Its uid.
    pub uid: Option<String>,
    /// Its resourceVersion.
    pub version: Option<String>,
}

/// What the API server has after a write.
#[derive(Clone, Debug)]
pub enum Written {
    /// A slice.
    Slice(Box<VirtualServiceSlice>),
    /// No slice any more.
    SliceGone(Doomed),
    /// A VirtualService.
    VirtualService(Box<VirtualService>),
    /// A RealServer.
    RealServer(Box<RealServer>),
    /// A DirectorGroup.
    DirectorGroup(Box<DirectorGroup>),
    /// Nothing that is kept.
    Other,
}

/// Why a write did not happen, or may not have.
#[derive(Debug, Error)]
pub enum Failure {
    /// This replica is not the active one (any more): nothing was sent.
    #[error("this replica does not hold the lease")]
    NotActive,
    /// The object is not what the write was computed from, or not there: nothing was changed.
    #[error("the object has changed meanwhile")]
    Stale(#[source] kube::Error),
    /// Anything else.
    #[error("the API server refused or could not be reached")]
    Api(#[source] kube::Error),
    /// No answer.
    #[error("no answer within {LIMIT:?}")]
    Silent,
}

/// A write that did not happen, or may not have.
#[derive(Debug, Error)]
#[error("could not {operation} {kind} {key}")]
pub struct WriteError {
    /// What was tried.
    pub operation: &'static str,
    /// The object's kind.
    pub kind: &'static str,
    /// The object.
    pub key: Key,
    /// Why not.
    #[source]
    pub failure: Failure,
}

/// Writes.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    gate: Gate,
    metrics: Metrics,
}

impl Writer {
    /// Writes through this client, which must not retry by itself, while the gate is open.
    pub fn new(client: Client, gate: Gate, metrics: Metrics) -> Self {
        Self { client, gate, metrics }
    }

    /// Writes one thing.
    ///
    /// # Errors
    /// [`WriteError`] names the object and the operation.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let post = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match write {
            Write::CreateSlice(slice) => {
                let (key, api) = (Key::of(&*slice), self.slices(&slice.namespace()));
                let call = async { api.create(&post, &slice).await };
                let slice = self.send("VirtualServiceSlice", "create", key, call).await?;
                Ok(Written::Slice(Box::new(slice)))
            }
            Write::ApplySlice(slice) => {
                let (key, api) = (Key::of(&*slice), self.slices(&slice.namespace()));
                let params = PatchParams::apply(MANAGER).force();
                let patch = Patch::Apply(&slice);
                let call = async { api.patch(&slice.name_any(), &params, &patch).await };
                let slice = self.send("VirtualServiceSlice", "apply", key.clone(), call).await?;
                Ok(Written::Slice(Box::new(slice)))
            }
            Write::DeleteSlice(doomed) => {
                let api = self.slices(&Some(doomed.key.namespace.clone()));
                let params = only(&doomed);
                let call = async { api.delete(&doomed.key.name, &params).await.map(|_| ()) };
                self.send("VirtualServiceSlice", "delete", doomed.key.clone(), call).await?;
                Ok(Written::SliceGone(doomed))
            }
            Write::VirtualServiceStatus(object) => {
                let (key, api) = (
                    Key::of(&*object),
                    Api::<VirtualService>::namespaced(
                        self.client.clone(),
                        &object.namespace().unwrap_or_default(),
                    ),
                );
                let call = async { api.replace_status(&key.name, &post, &object).await };
                let object = self.send("VirtualService", "status", key.clone(), call).await?;
                Ok(Written::VirtualService(Box::new(object)))
            }
            Write::RealServerStatus(object) => {
                let (key, api) = (
                    Key::of(&*object),
                    Api::<RealServer>::namespaced(
                        self.client.clone(),
                        &object.namespace().unwrap_or_default(),
                    ),
                );
                let call = async { api.replace_status(&key.name, &post, &object).await };
                let object = self.send("RealServer", "status", key.clone(), call).await?;
                Ok(Written::RealServer(Box::new(object)))
            }
            Write::DirectorGroupStatus(object) => {
                let (key, api) =
                    (Key::of(&*object), Api::<DirectorGroup>::all(self.client.clone()));
                let call = async { api.replace_status(&key.name, &post, &object).await };
                let object = self.send("DirectorGroup", "status", key.clone(), call).await?;
                Ok(Written::DirectorGroup(Box::new(object)))
            }
            Write::DeleteLvsNode(doomed) => self.delete_lvs_node(doomed).await,
            Write::DefaultGroup(group) => {
                let api = Api::<DirectorGroup>::all(self.client.clone());
                let mut params = PatchParams::apply(VALUES_MANAGER);
                params.field_validation = Some(ValidationDirective::Strict);
                let patch = Patch::Apply(&group);
                let call = async { api.patch(DEFAULT_GROUP, &params, &patch).await };
                let key = Key::new(String::new(), DEFAULT_GROUP.to_owned());
                self.send("DirectorGroup", "apply", key, call).await?;
                Ok(Written::Other)
            }
            Write::Event(event) => {
                let namespace = event.namespace().unwrap_or_default();
                let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
                let key = Key::of(&*event);
                let call = async { api.create(&post, &event).await.map(|_| ()) };
                self.send("Event", "create", key, call).await?;
                Ok(Written::Other)
            }
        }
    }

    /// The Node is asked for itself: our watch of Nodes may be behind that of LVSNodes.
    async fn delete_lvs_node(&self, doomed: Doomed) -> Result<Written, WriteError> {
        let nodes = Api::<Node>::all(self.client.clone());
        let found = nodes.get_opt(&doomed.key.name).await;
        let found = found.map_err(|error| WriteError {
            operation: "read",
            kind: "Node",
            key: doomed.key.clone(),
            failure: Failure::Api(error),
        })?;
        if found.is_some() {
            return Ok(Written::Other);
        }
        let api = Api::<LVSNode>::all(self.client.clone());
        let params = only(&doomed);
        let call = async { api.delete(&doomed.key.name, &params).await.map(|_| ()) };
        self.send("LVSNode", "delete", doomed.key.clone(), call).await?;
        Ok(Written::Other)
    }

    fn slices(&self, namespace: &Option<String>) -> Api<VirtualServiceSlice> {
        Api::namespaced(self.client.clone(), namespace.as_deref().unwrap_or_default())
    }

    async fn send<T>(
        &self,
        kind: &'static str,
        operation: &'static str,
        key: Key,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        tracing::debug!(kind, object = %key, operation, "writing");
        let fail = |failure| WriteError { operation, kind, key, failure };
        if !self.gate.is_open() {
            return Err(fail(Failure::NotActive));
        }
        let Ok(result) = tokio::time::timeout(LIMIT, call).await else {
            return Err(fail(Failure::Silent));
        };
        self.metrics.wrote(kind, operation, &result);
        match result {
            Ok(object) => Ok(object),
            // 404: deleted meanwhile. 409: changed meanwhile, or created by somebody else.
            Err(error @ kube::Error::Api(_)) if stale(&error) => Err(fail(Failure::Stale(error))),
            Err(error) => Err(fail(Failure::Api(error))),
        }
    }
}

fn stale(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

fn only(doomed: &Doomed) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: doomed.uid.clone(),
            resource_version: doomed.version.clone(),
        }),
        ..DeleteParams::default()
    }
}
