using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>What becomes of a guest that stopped (xl.cfg(5), 'Event Actions').</summary>
public enum BootBundleAction : byte
{
    /// <summary>Give everything back.</summary>
    Destroy = 0,

    /// <summary>Give everything back and start the guest anew from its configuration.</summary>
    Restart = 1,

    /// <summary>Keep the stopped guest for inspection.</summary>
    Preserve = 2,

    /// <summary>Keep the stopped guest under another name and start a new one.</summary>
    RenameRestart = 3,

    /// <summary>Report the guest's state, then destroy it.</summary>
    CoredumpDestroy = 4,

    /// <summary>Report the guest's state, then restart it.</summary>
    CoredumpRestart = 5,
}

/// <summary>One guest. Its disks, vifs and affinities are consecutive records of their tables.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleGuest
{
    /// <summary>Unique name: 1 to 63 ASCII letters, digits and <c>- _ . +</c>, the first one a letter or digit.</summary>
    public BootBundleName Name;

    /// <summary>The domain handle.</summary>
    public BootBundleUuid Uuid;

    /// <summary>Memory at start in KiB, a multiple of 4.</summary>
    public ulong MemoryKiB;

    /// <summary>Most memory ever in KiB, a multiple of 4, at least <see cref="MemoryKiB"/>.</summary>
    public ulong MaximumMemoryKiB;

    /// <summary>Memory that it keeps whatever others need, in KiB: a multiple of 4, at most <see cref="MemoryKiB"/>, not 0.</summary>
    public ulong MinimumMemoryKiB;

    /// <summary>Virtual CPUs online at start, 1 to <see cref="MaximumVcpus"/>.</summary>
    public uint Vcpus;

    /// <summary>Virtual CPUs that may ever be online, at most <see cref="BootBundle.MaximumVcpus"/>.</summary>
    public uint MaximumVcpus;

    /// <summary>Blob index of the kernel: an ELF file, not compressed.</summary>
    public uint Kernel;

    /// <summary>Blob index of the ramdisk as it is to be handed to the kernel, or <see cref="BootBundle.None"/>.</summary>
    public uint Ramdisk;

    /// <summary>Blob index of the command line without NUL, at most <see cref="BootBundle.MaximumCommandLine"/> bytes, or <see cref="BootBundle.None"/>.</summary>
    public uint CommandLine;

    /// <summary>SHUTDOWN_poweroff.</summary>
    public BootBundleAction OnPoweroff;

    /// <summary>SHUTDOWN_reboot.</summary>
    public BootBundleAction OnReboot;

    /// <summary>SHUTDOWN_crash.</summary>
    public BootBundleAction OnCrash;

    /// <summary>SHUTDOWN_watchdog.</summary>
    public BootBundleAction OnWatchdog;

    /// <summary>Scheduler weight, 1 to <see cref="BootBundle.MaximumWeight"/>.</summary>
    public uint Weight;

    /// <summary>Most CPU time in percent of one CPU; 0 means no limit.</summary>
    public uint Cap;

    /// <summary>Index of the first affinity mask.</summary>
    public uint FirstAffinity;

    /// <summary>Number of masks: 0 (any CPU), 1 (for all virtual CPUs) or <see cref="MaximumVcpus"/> (one each).</summary>
    public uint AffinityCount;

    /// <summary>Index of the first disk.</summary>
    public uint FirstDisk;

    /// <summary>Number of disks.</summary>
    public uint DiskCount;

    /// <summary>Index of the first vif.</summary>
    public uint FirstVif;

    /// <summary>Number of vifs.</summary>
    public uint VifCount;

    /// <summary>
    /// Port number of the guest's console on L0's virtio console device (virtio 1.2, 5.3), whose port name is <c>console.</c> and the guest's name; on Xen
    /// its number on the line that consoles share (docs/platform.md).
    /// </summary>
    public uint ConsolePort;

    /// <summary>Zero.</summary>
    public uint Reserved;
}

/// <summary>CPUs of L1 that a virtual CPU may run on: bit n of word n/64 is CPU n. At least one bit is set.</summary>
[InlineArray(Words)]
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct BootBundleAffinity
{
    /// <summary>Number of 64-bit words.</summary>
    public const int Words = 4;

    private ulong _first;
}
