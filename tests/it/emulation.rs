//! Runs CUDA kernels on the host: compiles `kernels/*.cu` with `kernels/host/` and talks to the program that comes out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use sonoplex::backend::cuda::launch::{Arg, Launch, Region};
use sonoplex::engine::EngineError;
use sonoplex::engine::cuda::{Recording, Runner};

use super::kernels_cuda::Machine;

/// A kernel with what it is given, of which there may be more than launchers make.
#[derive(Clone)]
pub struct Call {
    pub kernel: &'static str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub args: Vec<Arg>,
}

impl From<&Launch> for Call {
    fn from(launch: &Launch) -> Self {
        let (kernel, grid, block) = (launch.kernel(), launch.grid(), launch.block());
        Self { kernel, grid, block, args: launch.args().to_vec() }
    }
}

/// Orders in which the threads of a block run between two barriers: forward, reversed, and shuffled.
pub const ORDERS: [u32; 3] = [0, 1, 7];

/// What is in memory that nobody has written.
const RUBBISH: u8 = 0xa5;

/// Device memory, as the tests see it.
pub struct Memory {
    regions: Vec<(Region, Vec<u8>)>,
    end: u64,
    order: u32,
}

impl Machine for Memory {
    fn clear(&mut self) {
        self.regions.clear();
        self.end = 0;
    }

    fn allocate(&mut self, bytes: u64) -> Region {
        self.upload(&vec![RUBBISH; bytes as usize])
    }

    fn upload(&mut self, bytes: &[u8]) -> Region {
        let region = Region { offset: self.end, bytes: bytes.len() as u64 };
        // Somewhere else than any other, even where it is empty.
        self.end = (self.end + region.bytes + 256).next_multiple_of(256);
        self.regions.push((region, bytes.to_vec()));
        region
    }

    fn download(&mut self, region: Region) -> Vec<u8> {
        let (at, offset) = self.find(region);
        self.regions[at].1[offset as usize..][..region.bytes as usize].to_vec()
    }

    fn load(&mut self, recording: &Recording) {
        let disjoint = |a: &Region, b: &Region| a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        let tensors = &recording.tensors;
        let shared = (1..tensors.len()).any(|i| tensors[..i].iter().any(|other| !disjoint(other, &tensors[i])));
        let end = tensors.iter().map(|r| r.offset + r.bytes).max().unwrap_or(0);
        let whole = [Region { offset: 0, bytes: end }];
        for &region in if shared { &whole[..] } else { tensors } {
            self.regions.push((region, vec![RUBBISH; region.bytes as usize]));
        }
        self.regions.extend(recording.constants.iter().map(|(region, bytes)| (*region, bytes.to_vec())));
    }

    fn write(&mut self, region: Region, bytes: &[u8]) {
        let (at, offset) = self.find(region);
        self.regions[at].1[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn run(&mut self, launches: &[Launch]) -> Result<(), String> {
        self.call(&launches.iter().map(Call::from).collect::<Vec<_>>())
    }
}

impl Memory {
    /// Whose kernels run in this one of the [`ORDERS`].
    pub fn in_order(order: u32) -> Self {
        Self { regions: Vec::new(), end: 0, order }
    }

    /// The allocation that a region is in, and where.
    fn find(&self, region: Region) -> (usize, u64) {
        let holds = |(whole, _): &(Region, Vec<u8>)| {
            whole.offset <= region.offset && region.offset + region.bytes <= whole.offset + whole.bytes
        };
        let at = self.regions.iter().position(holds).expect("a region of this memory");
        (at, region.offset - self.regions[at].0.offset)
    }

    /// Runs kernels one after the other, or says why that failed.
    pub fn call(&mut self, launches: &[Call]) -> Result<(), String> {
        let program = program().expect("asked before");
        let mut input = Vec::new();
        let number = |input: &mut Vec<u8>, n: u32| input.extend(n.to_le_bytes());
        number(&mut input, self.regions.len() as u32);
        for (_, bytes) in &self.regions {
            input.extend((bytes.len() as u64).to_le_bytes());
            input.extend(bytes);
        }
        number(&mut input, launches.len() as u32);
        for launch in launches {
            number(&mut input, launch.kernel.len() as u32);
            input.extend(launch.kernel.bytes());
            launch.grid.iter().chain(&launch.block).for_each(|&n| number(&mut input, n));
            number(&mut input, self.order);
            number(&mut input, launch.args.len() as u32);
            for arg in &launch.args {
                let (kind, buffer, bits) = match *arg {
                    Arg::Region(region) => {
                        let (at, offset) = self.find(region);
                        (0, at as u32, offset)
                    }
                    Arg::U32(n) => (1, 0, u64::from(n)),
                    Arg::F32(x) => (2, 0, u64::from(x.to_bits())),
                };
                number(&mut input, kind);
                number(&mut input, buffer);
                input.extend(bits.to_le_bytes());
            }
        }
        let mut child = Command::new(program)
            .env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that was compiled");
        let mut stdin = child.stdin.take().expect("piped");
        // What fails does not read to the end; its message says why.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("its output");
        writer.join().expect("no panic");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut rest = &output.stdout[..];
        for (_, bytes) in &mut self.regions {
            let (own, others) = rest.split_at(bytes.len());
            bytes.copy_from_slice(own);
            rest = others;
        }
        assert!(rest.is_empty(), "it writes the buffers and nothing else");
        Ok(())
    }
}

/// A stream that runs in the emulation.
pub struct Emulated {
    memory: Memory,
    given: (Vec<Region>, Vec<u8>),
    launches: Vec<Launch>,
    found: (Vec<Region>, Vec<u8>),
}

impl Emulated {
    /// Whose kernels run in this one of the [`ORDERS`].
    pub fn in_order(order: u32) -> Self {
        let memory = Memory::in_order(order);
        Self { memory, given: Default::default(), launches: Vec::new(), found: Default::default() }
    }
}

impl Runner for Emulated {
    fn record(&mut self, recording: &Recording) -> Result<(), EngineError> {
        // What overlaps would be one piece, in which nobody sees who reads beyond his own.
        let all: Vec<Region> =
            recording.tensors.iter().copied().chain(recording.constants.iter().map(|(region, _)| *region)).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(a.offset + a.bytes <= recording.room, "{a:?} of {} bytes", recording.room);
            let apart = |b: &Region| a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
            assert!(all[..i].iter().all(apart), "{a:?} overlaps another");
        }
        let pinned = |regions: &[Region]| (regions.to_vec(), vec![0; regions.iter().map(|r| r.bytes as usize).sum()]);
        self.memory.clear();
        self.memory.load(recording);
        (self.given, self.found) = (pinned(&recording.given), pinned(&recording.found));
        self.launches = recording.launches();
        Ok(())
    }

    fn given(&mut self) -> Result<&mut [u8], EngineError> {
        Ok(&mut self.given.1)
    }

    fn enqueue(&mut self) -> Result<(), EngineError> {
        let mut rest = &self.given.1[..];
        for region in &self.given.0 {
            let (own, after) = rest.split_at(region.bytes as usize);
            self.memory.write(*region, own);
            rest = after;
        }
        self.memory.run(&self.launches).map_err(|found| EngineError::Gpu { found })?;
        self.found.1.clear();
        for region in &self.found.0 {
            self.found.1.extend(self.memory.download(*region));
        }
        Ok(())
    }

    fn found(&mut self) -> Result<&[u8], EngineError> {
        Ok(&self.found.1)
    }
}

/// The program that has all kernels, compiled once for the same sources; none, with a printed line, where there is no
/// compiler.
pub fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || compile("kernels", &FLAGS, "kernels/host/run.cpp", &["-fsanitize=address,undefined"]);
    PROGRAM.get_or_init(make).as_deref()
}

/// A folder with a `libcuda` that has no device and runs the same kernels, for `LD_LIBRARY_PATH`; none as above.
pub fn driver() -> Option<PathBuf> {
    // Its static variables are used where AddressSanitizer is, which no program loads afterwards.
    let flags = [
        "-std=c++17",
        "-O2",
        "-fPIC",
        "-Wall",
        "-Wno-unknown-pragmas",
        "-Wno-unused-variable",
        "-Wno-dangling-pointer",
    ];
    let link = ["-shared", "-Wl,-soname,libcuda.so"];
    let library = compile("libcuda", &flags, "tests/cuda_driver/driver.cpp", &link)?;
    let folder = library.with_extension("folder");
    std::fs::create_dir_all(&folder).expect("a place in the target folder");
    let linked = folder.join("libcuda.so");
    if !linked.exists() {
        // Another process may be as far.
        let _ = std::os::unix::fs::symlink(&library, &linked);
    }
    Some(folder)
}

const FLAGS: [&str; 10] = [
    "-std=c++17",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wno-unknown-pragmas",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fsanitize-sections=cuda_shared",
    "-fno-sanitize-recover=all",
];

/// Compiles all kernels and `main`, and links them as `name`.
fn compile(name: &str, flags: &[&str], main: &str, link: &[&str]) -> Option<PathBuf> {
    if Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: no g++ to compile the kernels with; `make test` installs it");
        return None;
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let kernels = root.join("kernels");
    let list = |folder: PathBuf| {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
        files.retain(|path| path.is_file());
        files.sort();
        files
    };
    let folders = [kernels.clone(), kernels.join("host"), root.join("tests/emulation"), root.join("tests/cuda_driver")];
    let files: Vec<PathBuf> = folders.into_iter().flat_map(list).collect();
    let mut sha = Sha256::new();
    flags.iter().chain(link).for_each(|flag| sha.update(flag));
    files.iter().for_each(|path| sha.update(std::fs::read(path).expect("a source")));
    let hash: String = sha.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{hash}"));
    if made.exists() {
        return Some(made);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let includes = [format!("-I{}", kernels.display()), format!("-I{}", kernels.join("host").display())];
    let call = |what: &mut Command| {
        let output = what.output().expect("g++ runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let mut sources = vec![root.join(main)];
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "cu")) {
        // The names after macros are replaced, for a kernel may be written by one.
        let plain = call(Command::new("g++").args(["-E", "-P", "-x", "c++"]).args(&includes).arg(file));
        let mut source = format!("#include \"emulation.hpp\"\n#include \"{}\"\n", file.display());
        for part in plain.split("__global__ void ").skip(1) {
            source += &format!("KERNEL({})\n", part.split('(').next().expect("a name").trim());
        }
        let wrapped = folder.path().join(file.file_name().expect("a name")).with_extension("cpp");
        std::fs::write(&wrapped, source).expect("a temporary file");
        sources.push(wrapped);
    }
    let object = |source: &PathBuf| {
        let object = folder.path().join(source.file_name().expect("a name")).with_extension("o");
        call(Command::new("g++").args(flags).args(&includes).arg("-c").arg(source).arg("-o").arg(&object));
        object
    };
    let objects: Vec<PathBuf> = sources.iter().map(object).collect();
    // Under its name only when it is whole: another process may be looking.
    let whole = folder.path().join("whole");
    call(Command::new("g++").args(link).args(&objects).arg("-o").arg(&whole));
    let new = made.with_extension(format!("new-{}", std::process::id()));
    std::fs::copy(&whole, &new).expect("a place in the target folder");
    std::fs::rename(&new, &made).expect("a place in the target folder");
    Some(made)
}
