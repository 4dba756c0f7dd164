//! Values of `include/uapi/linux/ip_vs.h`, under the kernel's own names without `IP_VS`/`IPVS`.
//! `IPVS_CMD_FLUSH` (17) is left out on purpose: it would delete what others made.

/// `IPVS_GENL_NAME`.
pub(crate) const GENL_NAME: &str = "IPVS";
/// `IPVS_GENL_VERSION`.
pub(crate) const GENL_VERSION: u8 = 1;

pub(crate) const CMD_NEW_SERVICE: u8 = 1;
pub(crate) const CMD_SET_SERVICE: u8 = 2;
pub(crate) const CMD_DEL_SERVICE: u8 = 3;
pub(crate) const CMD_GET_SERVICE: u8 = 4;
pub(crate) const CMD_NEW_DEST: u8 = 5;
pub(crate) const CMD_SET_DEST: u8 = 6;
pub(crate) const CMD_DEL_DEST: u8 = 7;
pub(crate) const CMD_GET_DEST: u8 = 8;
pub(crate) const CMD_NEW_DAEMON: u8 = 9;
pub(crate) const CMD_DEL_DAEMON: u8 = 10;
pub(crate) const CMD_GET_DAEMON: u8 = 11;
pub(crate) const CMD_SET_CONFIG: u8 = 12;
pub(crate) const CMD_GET_CONFIG: u8 = 13;
pub(crate) const CMD_SET_INFO: u8 = 14;
pub(crate) const CMD_GET_INFO: u8 = 15;
pub(crate) const CMD_ZERO: u8 = 16;

pub(crate) const CMD_ATTR_SERVICE: u16 = 1;
pub(crate) const CMD_ATTR_DEST: u16 = 2;
pub(crate) const CMD_ATTR_DAEMON: u16 = 3;
pub(crate) const CMD_ATTR_TIMEOUT_TCP: u16 = 4;
pub(crate) const CMD_ATTR_TIMEOUT_TCP_FIN: u16 = 5;
pub(crate) const CMD_ATTR_TIMEOUT_UDP: u16 = 6;

pub(crate) const SVC_ATTR_AF: u16 = 1;
pub(crate) const SVC_ATTR_PROTOCOL: u16 = 2;
pub(crate) const SVC_ATTR_ADDR: u16 = 3;
pub(crate) const SVC_ATTR_PORT: u16 = 4;
pub(crate) const SVC_ATTR_FWMARK: u16 = 5;
pub(crate) const SVC_ATTR_SCHED_NAME: u16 = 6;
pub(crate) const SVC_ATTR_FLAGS: u16 = 7;
pub(crate) const SVC_ATTR_TIMEOUT: u16 = 8;
pub(crate) const SVC_ATTR_NETMASK: u16 = 9;
pub(crate) const SVC_ATTR_STATS: u16 = 10;
pub(crate) const SVC_ATTR_PE_NAME: u16 = 11;
pub(crate) const SVC_ATTR_STATS64: u16 = 12;

pub(crate) const DEST_ATTR_ADDR: u16 = 1;
pub(crate) const DEST_ATTR_PORT: u16 = 2;
pub(crate) const DEST_ATTR_FWD_METHOD: u16 = 3;
pub(crate) const DEST_ATTR_WEIGHT: u16 = 4;
pub(crate) const DEST_ATTR_U_THRESH: u16 = 5;
pub(crate) const DEST_ATTR_L_THRESH: u16 = 6;
pub(crate) const DEST_ATTR_ACTIVE_CONNS: u16 = 7;
pub(crate) const DEST_ATTR_INACT_CONNS: u16 = 8;
pub(crate) const DEST_ATTR_PERSIST_CONNS: u16 = 9;
pub(crate) const DEST_ATTR_STATS: u16 = 10;
pub(crate) const DEST_ATTR_ADDR_FAMILY: u16 = 11;
pub(crate) const DEST_ATTR_STATS64: u16 = 12;
pub(crate) const DEST_ATTR_TUN_TYPE: u16 = 13;
pub(crate) const DEST_ATTR_TUN_PORT: u16 = 14;
pub(crate) const DEST_ATTR_TUN_FLAGS: u16 = 15;

pub(crate) const DAEMON_ATTR_STATE: u16 = 1;
pub(crate) const DAEMON_ATTR_MCAST_IFN: u16 = 2;
pub(crate) const DAEMON_ATTR_SYNC_ID: u16 = 3;
pub(crate) const DAEMON_ATTR_SYNC_MAXLEN: u16 = 4;
pub(crate) const DAEMON_ATTR_MCAST_GROUP: u16 = 5;
pub(crate) const DAEMON_ATTR_MCAST_GROUP6: u16 = 6;
pub(crate) const DAEMON_ATTR_MCAST_PORT: u16 = 7;
pub(crate) const DAEMON_ATTR_MCAST_TTL: u16 = 8;

pub(crate) const STATS_ATTR_CONNS: u16 = 1;
pub(crate) const STATS_ATTR_INPKTS: u16 = 2;
pub(crate) const STATS_ATTR_OUTPKTS: u16 = 3;
pub(crate) const STATS_ATTR_INBYTES: u16 = 4;
pub(crate) const STATS_ATTR_OUTBYTES: u16 = 5;
pub(crate) const STATS_ATTR_CPS: u16 = 6;
pub(crate) const STATS_ATTR_INPPS: u16 = 7;
pub(crate) const STATS_ATTR_OUTPPS: u16 = 8;
pub(crate) const STATS_ATTR_INBPS: u16 = 9;
pub(crate) const STATS_ATTR_OUTBPS: u16 = 10;

pub(crate) const INFO_ATTR_VERSION: u16 = 1;
pub(crate) const INFO_ATTR_CONN_TAB_SIZE: u16 = 2;

pub(crate) const SVC_F_PERSISTENT: u32 = 0x01;
pub(crate) const SVC_F_ONEPACKET: u32 = 0x04;
pub(crate) const SVC_F_SCHED1: u32 = 0x08;
pub(crate) const SVC_F_SCHED2: u32 = 0x10;
pub(crate) const SVC_F_SCHED3: u32 = 0x20;

pub(crate) const FWD_MASQ: u32 = 0;
pub(crate) const FWD_LOCALNODE: u32 = 1;
pub(crate) const FWD_TUNNEL: u32 = 2;
pub(crate) const FWD_DROUTE: u32 = 3;
pub(crate) const FWD_BYPASS: u32 = 4;

pub(crate) const TUNNEL_TYPE_IPIP: u8 = 0;
pub(crate) const TUNNEL_TYPE_GUE: u8 = 1;
pub(crate) const TUNNEL_TYPE_GRE: u8 = 2;

pub(crate) const TUNNEL_FLAG_CSUM: u16 = 0x1;
pub(crate) const TUNNEL_FLAG_REMCSUM: u16 = 0x2;

pub(crate) const STATE_MASTER: u32 = 1;
pub(crate) const STATE_BACKUP: u32 = 2;

/// `IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN` and `IP_VS_IFNAME_MAXLEN`, all with the final NUL.
pub(crate) const NAME_LEN: usize = 16;

/// `AF_INET` and `AF_INET6` of Linux.
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;

pub(crate) const IPPROTO_TCP: u16 = 6;
pub(crate) const IPPROTO_UDP: u16 = 17;
pub(crate) const IPPROTO_SCTP: u16 = 132;
