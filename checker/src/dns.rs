//! A DNS question by UDP (RFC 1035).

use crate::answer::short;
use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::udp;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use lvs_crds::{DnsCheck, DnsRcode, DnsType};
use std::net::SocketAddr;

#[derive(Debug)]
pub(crate) struct Dns {
    name: Name,
    kind: RecordType,
    rcode: ResponseCode,
    answer: Option<String>,
}

impl Dns {
    pub(crate) fn new(check: &DnsCheck) -> Result<Self, BadCheck> {
        let mut name =
            Name::from_utf8(&check.name).map_err(|error| BadCheck::new("dns.name", error))?;
        name.set_fqdn(true);
        let kind = match check.kind {
            DnsType::A => RecordType::A,
            DnsType::AAAA => RecordType::AAAA,
            DnsType::CNAME => RecordType::CNAME,
            DnsType::MX => RecordType::MX,
            DnsType::NS => RecordType::NS,
            DnsType::PTR => RecordType::PTR,
            DnsType::SOA => RecordType::SOA,
            DnsType::SRV => RecordType::SRV,
            DnsType::TXT => RecordType::TXT,
        };
        let rcode = match check.rcode {
            DnsRcode::NOERROR => ResponseCode::NoError,
            DnsRcode::NXDOMAIN => ResponseCode::NXDomain,
            DnsRcode::REFUSED => ResponseCode::Refused,
            DnsRcode::SERVFAIL => ResponseCode::ServFail,
        };
        Ok(Self { name, kind, rcode, answer: check.answer.as_deref().map(plain) })
    }

    pub(crate) async fn run(&self, at: SocketAddr, until: Deadline) -> Result<String, Failure> {
        let mut query = Message::query();
        query.add_query(Query::query(self.name.clone(), self.kind));
        query.metadata.recursion_desired = true;
        let id = query.metadata.id;
        let bytes = query.to_vec().map_err(|error| Failure::Garbled(format!("DNS: {error}")))?;
        let socket = udp::connect(at).await?;
        let asked = async {
            socket.send(&bytes).await.map_err(Failure::Connection)?;
            let mut buffer = vec![0; udp::MOST];
            loop {
                let length = socket.recv(&mut buffer).await.map_err(Failure::Connection)?;
                let received = buffer.get(..length).unwrap_or_default();
                let answer = Message::from_vec(received)
                    .map_err(|error| Failure::Garbled(format!("DNS: {error}")))?;
                // A late answer to an earlier question, from a port that was used again.
                let metadata = &answer.metadata;
                if metadata.id == id && metadata.message_type == MessageType::Response {
                    return Ok(answer);
                }
            }
        };
        self.judge(&until.answer(asked).await?)
    }

    fn judge(&self, answer: &Message) -> Result<String, Failure> {
        let found = answer.metadata.response_code;
        if found != self.rcode {
            return Err(Failure::Answer(format!("DNS: {found}")));
        }
        if let Some(wanted) = &self.answer {
            let records: Vec<String> =
                answer.answers.iter().map(|record| plain(&record.data.to_string())).collect();
            if !records.contains(wanted) {
                let shown = records.first().map_or("no record", String::as_str);
                let shown = short(shown);
                return Err(Failure::Answer(format!("DNS: {shown}, not {wanted}")));
            }
        }
        Ok(format!("DNS {found}"))
    }
}

/// Names end with a dot or not, texts have quotes or not.
fn plain(record: &str) -> String {
    record.trim().trim_end_matches('.').trim_matches('"').to_ascii_lowercase()
}
