//! Who wants something of a node.

use lvs_crds::VirtualServiceSlice;
use std::fmt;

/// Whose fragment it is. VirtualServices order by namespace and name: the first keeps what two claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A DirectorGroup.
    Group(String),
    /// A VirtualService.
    VirtualService {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Owner {
    /// The owner of a slice.
    pub fn of(slice: &VirtualServiceSlice) -> Self {
        Self::VirtualService {
            namespace: slice.metadata.namespace.clone().unwrap_or_default(),
            name: slice.spec.virtual_service.clone(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "DirectorGroup {name}"),
            Self::VirtualService { namespace, name } => {
                write!(f, "VirtualService {namespace}/{name}")
            }
        }
    }
}
