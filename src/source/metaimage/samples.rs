//! Reads the samples of one frame at a time, plain or out of one zlib stream.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;

use super::header::{DataFile, Header};
use super::malformed;
use crate::source::SourceError;

/// Largest stored frame that is read, in bytes: 11,585 × 11,585 grey pixels.
const FRAME_LIMIT: u64 = 128 << 20;
/// Deflate cannot shrink data further than this (a match of 258 bytes costs at least two bits).
const DEFLATE_LIMIT: u64 = 1032;
/// Bytes after the last frame that are taken for padding: editors and writers end files with a line feed or two.
const PADDING: u64 = 16;
/// Most frames of one recording, nine hours at 30 a second; each takes some memory for its time.
const FRAMES_LIMIT: u64 = 1_000_000;

/// The samples of a recording.
pub struct Samples {
    path: PathBuf,
    start: u64,
    stored_len: u64,
    frame_len: u64,
    frames: u64,
    stream: Stream,
}

enum Stream {
    Raw(File),
    /// `next` is the stored frame that the decoder stands before.
    Zlib {
        decoder: ZlibDecoder<Take<BufReader<File>>>,
        next: u64,
    },
}

impl Samples {
    /// Opens what `header`, read from `path`, points to, and compares its sizes with the file.
    pub fn open(path: &Path, header: &Header) -> Result<Self, SourceError> {
        let too_large = || {
            let [w, h, n] = header.dims;
            let found = format!(
                "the header claims {n} frames of {w}x{h}; at most {FRAMES_LIMIT} frames of {FRAME_LIMIT} bytes are read"
            );
            malformed(path, found, "check `DimSize` and `ElementType`")
        };
        let frame_len = header.frame_len().filter(|&n| n <= FRAME_LIMIT).ok_or_else(too_large)?;
        let expected = header.data_len().filter(|_| header.dims[2] <= FRAMES_LIMIT).ok_or_else(too_large)?;

        let (path, skip) = match &header.data {
            DataFile::Local => (path.to_owned(), Some(header.len)),
            DataFile::Beside(name) => (path.parent().unwrap_or(Path::new("")).join(name), header.skip),
        };
        let io = |cause| SourceError::Io { path: path.clone(), cause };
        // A pipe would be waited for.
        if !std::fs::metadata(&path).map_err(io)?.is_file() {
            return Err(malformed(&path, "the samples are no file".to_owned(), "name the file that holds them"));
        }
        let file = File::open(&path).map_err(io)?;
        let file_len = file.metadata().map_err(io)?.len();
        let start = skip.unwrap_or(file_len.saturating_sub(expected));
        let mut stored_len = file_len.saturating_sub(start);

        if header.compressed {
            if let Some(stated) = header.compressed_len.filter(|&n| n > 0) {
                if stated > stored_len {
                    return Err(lies(&path, stated, stored_len, "of compressed data"));
                }
                stored_len = stated;
            }
            if expected / DEFLATE_LIMIT > stored_len {
                return Err(lies(&path, expected, stored_len.saturating_mul(DEFLATE_LIMIT), "and at the very most"));
            }
        } else if stored_len < expected || stored_len > expected + PADDING {
            return Err(lies(&path, expected, stored_len, "of samples"));
        }
        let stream = if header.compressed { zlib(file, start, stored_len).map_err(io)? } else { Stream::Raw(file) };
        Ok(Self { path, start, stored_len, frame_len, frames: header.dims[2], stream })
    }

    /// Fills `out` with stored frame `index`.
    pub fn read(&mut self, index: u64, out: &mut Vec<u8>) -> Result<(), SourceError> {
        out.clear();
        out.resize(self.frame_len as usize, 0);
        let place = self.fill(index, out);
        place.map_err(|cause| self.failed(index, cause))
    }

    fn fill(&mut self, index: u64, out: &mut [u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Raw(file) => {
                file.seek(SeekFrom::Start(self.start + index * self.frame_len))?;
                file.read_exact(out)
            }
            Stream::Zlib { decoder, next } => {
                // A zlib stream has no way back: begin again.
                if index < *next {
                    let file = decoder.get_ref().get_ref().get_ref().try_clone()?;
                    self.stream = zlib(file, self.start, self.stored_len)?;
                    return self.fill(index, out);
                }
                while *next <= index {
                    decoder.read_exact(out)?;
                    *next += 1;
                }
                Ok(())
            }
        }
    }

    /// Whether compressed data go on after the last frame, asked once that has been read.
    pub fn check_end(&mut self) -> Result<(), SourceError> {
        let Stream::Zlib { decoder, next } = &mut self.stream else { return Ok(()) };
        if *next != self.frames {
            return Ok(());
        }
        let mut rest = [0; PADDING as usize + 1];
        let mut found = 0;
        while found < rest.len() {
            match decoder.read(&mut rest[found..]) {
                Ok(0) => break,
                Ok(n) => found += n,
                Err(cause) => return Err(self.failed(self.frames, cause)),
            }
        }
        if found == rest.len() {
            let expected = self.frames * self.frame_len;
            let found = format!("expected {expected} bytes of samples after inflating, found more");
            return Err(malformed(&self.path, found, "check `DimSize`: the frames are not what they seem"));
        }
        Ok(())
    }

    fn failed(&self, index: u64, cause: io::Error) -> SourceError {
        let what = match cause.kind() {
            io::ErrorKind::UnexpectedEof => "the data end early".to_owned(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                format!("the compressed data are damaged ({cause})")
            }
            _ => return SourceError::Io { path: self.path.clone(), cause },
        };
        let found =
            format!("in frame {index} of {}, {what}; {} bytes a frame were expected", self.frames, self.frame_len);
        malformed(&self.path, found, "copy the file again or write it anew")
    }
}

fn zlib(mut file: File, start: u64, len: u64) -> io::Result<Stream> {
    file.seek(SeekFrom::Start(start))?;
    Ok(Stream::Zlib { decoder: ZlibDecoder::new(BufReader::with_capacity(1 << 16, file).take(len)), next: 0 })
}

fn lies(path: &Path, expected: u64, found: u64, of: &str) -> SourceError {
    let found = format!("the header promises {expected} bytes {of}, found {found}");
    malformed(path, found, "copy the file again, or correct `DimSize`, `ElementType` and `CompressedData`")
}
