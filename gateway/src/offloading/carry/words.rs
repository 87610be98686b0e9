//! What gateways tell each other through a broker, as bytes. Numbers are little endian; a version
//! stands first, and what another version wrote is not read.

use bytes::Bytes;
use offload::book::Tried;
use offload::engine::Parcel;
use offload::job::{JobId, Reason};
use offload::record;
use std::time::Duration;

const VERSION: u8 = 1;

/// A job on its way to whoever takes it.
pub(super) struct Sent<'a> {
    /// The gateway that accepted it.
    pub(super) owner: &'a str,
    /// Which try.
    pub(super) attempt: u16,
    /// Its first record.
    pub(super) record: &'a [u8],
    /// Its request.
    pub(super) request: &'a [u8],
}

impl<'a> Sent<'a> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let length = 16 + self.owner.len() + self.record.len() + self.request.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.attempt.to_le_bytes());
        bytes.push(self.owner.len() as u8);
        bytes.extend_from_slice(self.owner.as_bytes());
        bytes.extend_from_slice(&(self.record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.record);
        bytes.extend_from_slice(self.request);
        bytes
    }

    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[version, low, high, owner], rest) = bytes.split_first_chunk()?;
        let (owner, rest) = rest.split_at_checked(owner.into())?;
        let (length, rest) = rest.split_first_chunk()?;
        let (record, request) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let owner = std::str::from_utf8(owner).ok()?;
        let attempt = u16::from_le_bytes([low, high]);
        let is_job = matches!(record::read(record), Ok(record::Record::Accept(_)));
        (version == VERSION && is_job).then_some(Self { owner, attempt, record, request })
    }

    /// The owner, and the parcel, within the bytes that it was read from.
    pub(super) fn parcel(&self, bytes: &Bytes) -> (String, Parcel) {
        let id = record::read(self.record).map_or(JobId::NONE, |record| record.id());
        let parcel = Parcel {
            id,
            attempt: self.attempt,
            record: bytes.slice_ref(self.record),
            request: bytes.slice_ref(self.request),
            handed: false,
        };
        (self.owner.to_owned(), parcel)
    }
}

/// What came of a try.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Which job.
    pub(super) id: JobId,
    /// Which try.
    pub(super) attempt: u16,
    /// What came of it.
    pub(super) tried: Tried,
    /// The answer, if any.
    pub(super) answer: Vec<u8>,
}

const ANSWERED: u8 = 1;
const FAILED: u8 = 2;
/// No `Retry-After`.
const NONE: u64 = u64::MAX;

impl News {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.attempt.to_le_bytes());
        let (kind, what, after) = match self.tried {
            Tried::Answered { status, retry_after } => {
                let ms = retry_after.map_or(NONE, |after| after.as_millis() as u64);
                (ANSWERED, status, ms)
            }
            Tried::Failed(reason) => (FAILED, u16::from(reason as u8), NONE),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&what.to_le_bytes());
        bytes.extend_from_slice(&after.to_le_bytes());
        bytes.extend_from_slice(&self.answer);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[version], rest) = bytes.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (attempt, rest) = rest.split_first_chunk()?;
        let (&[kind], rest) = rest.split_first_chunk()?;
        let (what, rest) = rest.split_first_chunk()?;
        let (after, answer) = rest.split_first_chunk()?;
        let (what, after) = (u16::from_le_bytes(*what), u64::from_le_bytes(*after));
        let tried = match kind {
            ANSWERED => {
                let retry_after = (after != NONE).then(|| Duration::from_millis(after));
                Tried::Answered { status: what, retry_after }
            }
            FAILED => Tried::Failed(Reason::of(u8::try_from(what).ok()?)?),
            _ => return None,
        };
        let (id, attempt) = (JobId(*id), u16::from_le_bytes(*attempt));
        (version == VERSION).then(|| Self { id, attempt, tried, answer: answer.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offload::record::{Record, Summary};

    #[test]
    fn news_is_read_as_it_was_written() {
        let after = Some(Duration::from_millis(1_500));
        for tried in [
            Tried::Answered { status: 503, retry_after: after },
            Tried::Answered { status: 200, retry_after: None },
            Tried::Failed(Reason::Timeout),
        ] {
            let answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            let news = News { id: JobId([9; 16]), attempt: 258, tried, answer };
            let bytes = news.bytes();
            assert_eq!(News::read(&bytes), Some(news));
            (0..30).for_each(|cut| assert_eq!(News::read(&bytes[..cut]), None));
        }
    }

    #[test]
    fn a_job_is_read_as_it_was_sent() {
        let mut record = Vec::new();
        Record::Accept(Summary { id: JobId([3; 16]), queue: "mail", ..Summary::default() })
            .write(&mut record);
        let sent = Sent { owner: "a", attempt: 7, record: &record, request: b"POST / HTTP/1.1" };
        let bytes = Bytes::from(sent.bytes());
        let read = Sent::read(&bytes).unwrap();
        let (owner, parcel) = read.parcel(&bytes);
        assert_eq!((owner.as_str(), parcel.id, parcel.attempt), ("a", JobId([3; 16]), 7));
        assert_eq!(
            (&parcel.record[..], &parcel.request[..]),
            (&record[..], &b"POST / HTTP/1.1"[..])
        );
        for cut in 0..bytes.len() - 15 {
            assert!(Sent::read(&bytes[..cut]).is_none(), "cut at {cut}");
        }
    }
}
