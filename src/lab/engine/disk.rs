//! A filesystem image on a loop device: what a container's root must be for a power cut to mean something.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::command::{may, must};

/// `EXT4_IOC_SHUTDOWN`: _IOR('X', 125, __u32).
const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
/// Neither data nor journal are flushed: the filesystem stays as the disk has it in this instant.
const NO_LOG_FLUSH: u32 = 2;

/// An image file, mounted or not.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// Counts the image files: each has a name, and so a loop device and a filesystem, of its own.
    generation: u32,
    file: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Copies `image` (an ext4 filesystem) to `folder`, which also gets the mount point.
    pub fn copy(image: &Path, folder: &Path) -> Result<Self> {
        check_ext4(image)?;
        let mount = folder.join("root");
        std::fs::create_dir_all(&mount).with_context(|| format!("creating {}", mount.display()))?;
        clear(folder);
        let mut disk =
            Disk { folder: folder.to_path_buf(), generation: 0, file: image.to_path_buf(), mount, mounted: false };
        disk.renew()?;
        Ok(disk)
    }

    /// Goes on with a copy of the present image file.
    fn renew(&mut self) -> Result<PathBuf> {
        self.generation += 1;
        let next = self.folder.join(format!("root-{}.ext4", self.generation));
        must("cp", &["--sparse=always", &self.file.to_string_lossy(), &next.to_string_lossy()])?;
        Ok(std::mem::replace(&mut self.file, next))
    }

    /// After [`Disk::freeze_as_is`] and the end of the machine: goes on with a copy of what reached the disk. The old
    /// filesystem may live on for a while in the mount namespaces of programs that started meanwhile.
    pub fn survive(&mut self) -> Result<()> {
        let old = self.renew()?;
        self.unmount()?;
        std::fs::remove_file(&old).with_context(|| format!("removing {}", old.display()))
    }

    /// Mounts it. Commits are rare, so that whatever a program did not sync itself is really lost in a cut.
    pub fn mount(&mut self) -> Result<&Path> {
        if !self.mounted {
            let (file, mount) = (self.file.to_string_lossy(), self.mount.to_string_lossy());
            must("mount", &["-o", "loop,commit=300,data=ordered", &file, &mount])?;
            self.mounted = true;
        }
        Ok(&self.mount)
    }

    /// Where it is mounted, while it is.
    pub fn root(&self) -> Option<&Path> {
        self.mounted.then_some(self.mount.as_path())
    }

    /// Stops the filesystem in this instant, as a power cut does: nothing more reaches the image file.
    pub fn freeze_as_is(&self) -> Result<()> {
        let root = File::open(&self.mount).with_context(|| format!("opening {}", self.mount.display()))?;
        // SAFETY: the operation code is that of EXT4_IOC_SHUTDOWN, which reads one u32 through the pointer.
        unsafe {
            let request = rustix::ioctl::Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH);
            rustix::ioctl::ioctl(root.as_fd(), request)
        }
        .context("cutting the filesystem off from its disk")
    }

    /// Unmounts it; processes that just died may hold it for a moment.
    pub fn unmount(&mut self) -> Result<()> {
        if !self.mounted {
            return Ok(());
        }
        let mount = self.mount.to_string_lossy().into_owned();
        for _ in 0..50 {
            if may("umount", &[&mount]) {
                self.mounted = false;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        must("umount", &["--lazy", &mount]).with_context(|| format!("unmounting {mount}"))?;
        self.mounted = false;
        Ok(())
    }

    /// Leaves it mounted when this value goes away.
    pub fn leave(&mut self) {
        self.mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

/// Removes the image files in `folder`.
pub fn clear(folder: &Path) {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in names.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "ext4")) {
        let _ = std::fs::remove_file(entry.path());
    }
}

fn check_ext4(image: &Path) -> Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut magic = [0u8; 2];
    let mut file = File::open(image).with_context(|| format!("opening the image {}", image.display()))?;
    let read = file.seek(SeekFrom::Start(0x438)).and_then(|_| file.read_exact(&mut magic));
    if read.is_err() || magic != [0x53, 0xef] {
        bail!(
            "{} is no ext4 filesystem image, which the container engine needs; disk images of virtual machines need `--engine qemu`",
            image.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_images_are_refused_in_words() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = check_ext4(file.path()).expect_err("an empty file is no filesystem");
        assert!(error.to_string().contains("--engine qemu"));
        assert!(check_ext4(Path::new("/nonexistent")).is_err());
    }
}
