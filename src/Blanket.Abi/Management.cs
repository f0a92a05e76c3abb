using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>
/// The protocol between an operator's command and a running hypervisor, over any byte stream (docs/management.md). A message is a
/// <see cref="ManagementHeader"/> and a payload, between two <see cref="Flag"/> bytes. One request is answered before the next is read.
/// </summary>
public static class Management
{
    /// <summary>First four bytes of a message: the ASCII text <c>BLKM</c>.</summary>
    public const uint Magic = 0x4D4B4C42;

    /// <summary>Version of the protocol; a reader accepts exactly its own.</summary>
    public const ushort Version = 3;

    /// <summary>Most bytes of a payload.</summary>
    public const int MaximumPayload = 64 * 1024;

    /// <summary>Begins and ends a message (ASCII FS). It, <see cref="Escape"/>, RS and US never appear inside.</summary>
    public const byte Flag = 0x1C;

    /// <summary>The next byte stands for itself exclusive-or <see cref="EscapeMask"/> (ASCII GS).</summary>
    public const byte Escape = 0x1D;

    /// <summary>See <see cref="Escape"/>.</summary>
    public const byte EscapeMask = 0x20;

    /// <summary>The last byte value that is escaped (ASCII US): the console line of Xen's domains uses RS and US itself.</summary>
    public const byte LastEscaped = 0x1F;

    /// <summary>Most guests that a list tells.</summary>
    public const int MaximumGuests = BootBundle.MaximumGuests;

    /// <summary>Most bytes of <see cref="ManagementCommand.DebugKeys"/>.</summary>
    public const int MaximumKeys = 64;

    /// <summary>Number of the port that carries the protocol on a line that consoles share (docs/platform.md).</summary>
    public const uint SharedLinePort = 65535;

    /// <summary>Name of the port of L0's console device that carries the protocol.</summary>
    public static System.ReadOnlySpan<byte> PortName => "blanket.management"u8;
}

/// <summary>What is asked; the answer has the same value.</summary>
public enum ManagementCommand : ushort
{
    /// <summary>Nothing in; <see cref="ManagementInstance"/> out.</summary>
    Describe = 1,

    /// <summary>Nothing in; a <see cref="ManagementGuest"/> for each guest that has a domain, or whose start waits for memory, out.</summary>
    List = 2,

    /// <summary><see cref="ManagementTarget"/> in. Keeps all vCPUs off the CPUs. EEXIST when it is paused already.</summary>
    Pause = 3,

    /// <summary><see cref="ManagementTarget"/> in. Takes back <see cref="Pause"/>; EINVAL when it is not paused.</summary>
    Unpause = 4,

    /// <summary><see cref="ManagementTarget"/> in. Asks the guest to power off, by control/shutdown in its xenstore.</summary>
    PowerOff = 5,

    /// <summary><see cref="ManagementTarget"/> in. Asks the guest to reboot, in the same way.</summary>
    Reboot = 6,

    /// <summary><see cref="ManagementTarget"/> in. Ends the guest at once; its domain is gone when a list tells it no more.</summary>
    Destroy = 7,

    /// <summary><see cref="ManagementTarget"/> in, Value: KiB. Sets memory/target, and what the guest may own at most.</summary>
    SetMemory = 8,

    /// <summary><see cref="ManagementTarget"/> in, Value: how many vCPUs are to be online. Sets cpu/N/availability.</summary>
    SetVcpus = 9,

    /// <summary><see cref="ManagementTarget"/> in; a <see cref="ManagementDevice"/> for each disk and vif out.</summary>
    Devices = 10,

    /// <summary>Position (8 bytes) in; <see cref="ManagementLogPart"/> and text out.</summary>
    Log = 11,

    /// <summary>Keys in (ASCII); what they show goes to the log.</summary>
    DebugKeys = 12,

    /// <summary>Size in bytes (8 bytes) in: takes memory for a boot bundle with one guest; drops one that was under way.</summary>
    BundleBegin = 13,

    /// <summary>Offset (8 bytes) and bytes in. Offsets continue where the last one ended.</summary>
    BundleData = 14,

    /// <summary>Nothing in or out. Starts the guest of the bundle, which the list tells of from then on: its start may yet fail, and it is gone then.</summary>
    BundleStart = 15,

    /// <summary>Nothing in; <see cref="ManagementAudit"/> out, which is logged, too.</summary>
    Audit = 16,

    /// <summary>Nothing in. Ends all guests at once, then powers the machine off.</summary>
    Shutdown = 17,

    /// <summary><see cref="ManagementPin"/> in. Changes the CPUs that vCPUs may run on. EINVAL for a vCPU or CPUs that are not there.</summary>
    PinVcpu = 18,

    /// <summary><see cref="ManagementTarget"/> in, Value: KiB. Sets what the guest keeps whatever others need. EINVAL for more than its maximum.</summary>
    SetMinimum = 19,

    /// <summary><see cref="ManagementMemoryPolicy"/> (8 bytes) in. Sets what is done when something needs more memory than is free.</summary>
    SetMemoryPolicy = 20,
}

/// <summary>What is done when something needs more memory than is free.</summary>
public enum ManagementMemoryPolicy : ulong
{
    /// <summary>It is refused.</summary>
    Manual = 0,

    /// <summary>Guests are asked to shrink towards their floors, in proportion to what they have above them.</summary>
    Share = 1,
}

/// <summary>Where a guest is in its life, as an operator sees it.</summary>
public enum ManagementGuestState : byte
{
    /// <summary>Its vCPUs may run.</summary>
    Running = 0,

    /// <summary>An operator paused it.</summary>
    Paused = 1,

    /// <summary>It stopped and is about to be dealt with.</summary>
    Stopped = 2,

    /// <summary>It is being torn down.</summary>
    Dying = 3,

    /// <summary>It stopped and is kept for inspection.</summary>
    Preserved = 4,

    /// <summary>It has no domain yet: its start waits for memory that other guests give up, or for the start of another.</summary>
    Waiting = 5,

    /// <summary>It is being built.</summary>
    Starting = 6,
}

/// <summary>What a <see cref="ManagementDevice"/> is.</summary>
public enum ManagementDeviceKind : uint
{
    /// <summary>A disk.</summary>
    Disk = 1,

    /// <summary>A network interface.</summary>
    Vif = 2,
}

/// <summary>First bytes of every message.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct ManagementHeader
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 20;

    /// <summary><see cref="Management.Magic"/>.</summary>
    public uint Magic;

    /// <summary><see cref="Management.Version"/>.</summary>
    public ushort Version;

    /// <summary>What is asked or answered.</summary>
    public ManagementCommand Command;

    /// <summary>The asker's name for the request; the answer repeats it.</summary>
    public uint Tag;

    /// <summary>0 in a request; in an answer 0 or a negative errno of Xen's (then without payload).</summary>
    public int Status;

    /// <summary>Bytes of payload, exactly those up to the closing flag.</summary>
    public uint Length;
}

/// <summary>The guest that a request is about, and its argument.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementTarget
{
    /// <summary>The guest's name.</summary>
    public BootBundleName Name;

    /// <summary>See the commands; else 0.</summary>
    public ulong Value;
}

/// <summary>Where vCPUs of a guest may run from now on.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementPin
{
    /// <summary>In <see cref="Vcpu"/>: all vCPUs of the guest.</summary>
    public const ulong AllVcpus = ulong.MaxValue;

    /// <summary>The guest's name.</summary>
    public BootBundleName Name;

    /// <summary>Number of the vCPU, or <see cref="AllVcpus"/>.</summary>
    public ulong Vcpu;

    /// <summary>The CPUs; those that L0 does not have are not counted.</summary>
    public BootBundleAffinity Cpus;
}

/// <summary>The hypervisor as a whole.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementInstance
{
    /// <summary>ns since it was started.</summary>
    public ulong Uptime;

    /// <summary>Memory that it manages, in KiB.</summary>
    public ulong MemoryKiB;

    /// <summary>What of it is free.</summary>
    public ulong FreeKiB;

    /// <summary>CPUs that run guests.</summary>
    public uint Cpus;

    /// <summary>Guests that have a domain.</summary>
    public uint Guests;

    /// <summary>Disks that L0 gives, and how many of them a guest has.</summary>
    public uint Disks;
    public uint DisksInUse;

    /// <summary>Event channels that guests have open.</summary>
    public uint EventChannels;

    /// <summary>Grants that are in use.</summary>
    public uint Grants;

    /// <summary>Nodes in xenstore.</summary>
    public uint StoreNodes;

    /// <summary>Frames in tables that grow and never shrink.</summary>
    public uint TableFrames;

    /// <summary>What of the free memory, or of what will be free, is for a start that waits.</summary>
    public ulong ClaimedKiB;

    /// <summary>What is done when something needs more memory than is free.</summary>
    public ManagementMemoryPolicy MemoryPolicy;
}

/// <summary>Counts of what guests could leave behind; with no guest there they are the same as before the first one.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementAudit
{
    /// <summary>Frames that the allocator has ever been given.</summary>
    public ulong Frames;

    /// <summary>What of them is free.</summary>
    public ulong FreeFrames;

    /// <summary>Frames that are for a start that waits or is under way, and not yet its guest's.</summary>
    public ulong ClaimedFrames;

    /// <summary>Frames in tables that grow and never shrink: the only number that may stay higher.</summary>
    public ulong TableFrames;

    /// <summary>Frames of arenas: the hypervisor's own and the guests'.</summary>
    public ulong ArenaFrames;

    /// <summary>Guests that have a domain.</summary>
    public ulong Guests;

    /// <summary>Frames that guests own.</summary>
    public ulong GuestFrames;

    /// <summary>Backends of guests' devices.</summary>
    public ulong Devices;

    /// <summary>Event channels that guests have open.</summary>
    public ulong EventChannels;

    /// <summary>Channels between guests and the built-in services.</summary>
    public ulong ServiceChannels;

    /// <summary>Entries of guests' grant tables that somebody uses.</summary>
    public ulong Grants;

    /// <summary>Nodes in xenstore, copies in transactions too.</summary>
    public ulong StoreNodes;

    /// <summary>Watches in xenstore.</summary>
    public ulong StoreWatches;

    /// <summary>Connections to xenstore, the services' own too.</summary>
    public ulong StoreConnections;

    /// <summary>Open transactions.</summary>
    public ulong StoreTransactions;
}

/// <summary>A guest that has a domain. Counters only grow while the domain lives.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementGuest
{
    /// <summary>Its name.</summary>
    public BootBundleName Name;

    /// <summary>Its domain id.</summary>
    public ushort DomainId;

    /// <summary>Where it is in its life.</summary>
    public ManagementGuestState State;

    /// <summary>Zero.</summary>
    public byte Reserved;

    /// <summary>vCPUs that it has, and how many of them are up.</summary>
    public ushort Vcpus;
    public ushort OnlineVcpus;

    /// <summary>ns that its vCPUs ran, all together.</summary>
    public ulong CpuTime;

    /// <summary>Memory that it owns, in KiB.</summary>
    public ulong MemoryKiB;

    /// <summary>memory/target, in KiB.</summary>
    public ulong TargetKiB;

    /// <summary>What memory/target may become at most, in KiB.</summary>
    public ulong MaximumKiB;

    /// <summary>What the guest is to have when there is enough, and what it keeps in any case, in KiB.</summary>
    public ulong WishKiB;
    public ulong MinimumKiB;

    /// <summary>Of all its disks: requests that ended well, and bytes.</summary>
    public ulong Reads;
    public ulong ReadBytes;
    public ulong Writes;
    public ulong WrittenBytes;

    /// <summary>Of all its vifs: packets that it received and sent, and bytes.</summary>
    public ulong ReceivedPackets;
    public ulong ReceivedBytes;
    public ulong SentPackets;
    public ulong SentBytes;

    /// <summary>Of all its vifs: packets for it that were dropped, and packets of its own that the switch did not let in.</summary>
    public ulong DroppedPackets;
    public ulong RejectedPackets;
}

/// <summary>Counters of one device; "in" and "out" as the guest sees them.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementDevice
{
    /// <summary>What it is.</summary>
    public ManagementDeviceKind Kind;

    /// <summary>Its number in xenstore.</summary>
    public uint DeviceId;

    /// <summary>Reads that ended well; packets received.</summary>
    public ulong InCount;
    public ulong InBytes;

    /// <summary>Writes that ended well; packets sent.</summary>
    public ulong OutCount;
    public ulong OutBytes;

    /// <summary>Requests that ended with an error; packets for the guest that were dropped.</summary>
    public ulong Failed;

    /// <summary>Flushes of a disk; packets of the guest that its port did not let in.</summary>
    public ulong Other;
}

/// <summary>What of the log follows.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct ManagementLogPart
{
    /// <summary>Position of the first byte that follows; later than asked when older text is gone.</summary>
    public ulong Start;

    /// <summary>Position behind the log's last byte.</summary>
    public ulong End;
}
