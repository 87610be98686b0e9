//! A few bytes beside the entries: replaced as one, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"FFNOTE01";
/// Bytes before the note's own: magic and checksum.
pub(super) const HEAD: usize = 16;

/// Puts the note in the place of the one before.
pub(super) fn save(folder: &Path, note: &[u8]) -> io::Result<()> {
    let (path, fresh) = (folder.join("note"), folder.join("note.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(MAGIC)?;
    file.write_all(&xxh3_64(note).to_le_bytes())?;
    file.write_all(note)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(folder)?.sync_all()
}

/// The note; `None` when there is none or it is not what was saved.
pub(super) fn load(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = match fs::read(folder.join("note")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((head, note)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    if head[..8] != *MAGIC || head[8..] != xxh3_64(note).to_le_bytes() {
        return Ok(None);
    }
    bytes.drain(..HEAD);
    Ok(Some(bytes))
}
