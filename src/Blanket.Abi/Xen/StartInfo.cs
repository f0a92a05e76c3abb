using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct start_info, what a guest kernel finds at rsi (xen/include/public/xen.h); 1,168 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct StartInfo
{
    /// <summary>SIF_PRIVILEGED.</summary>
    public const uint Privileged = 1 << 0;

    /// <summary>SIF_INITDOMAIN.</summary>
    public const uint InitialDomain = 1 << 1;

    /// <summary>SIF_MULTIBOOT_MOD.</summary>
    public const uint MultibootModule = 1 << 2;

    /// <summary>SIF_MOD_START_PFN: <see cref="ModuleStart"/> is a frame number.</summary>
    public const uint ModuleStartIsPfn = 1 << 3;

    /// <summary>SIF_VIRT_P2M_4TOOLS: the guest need not keep the three-level tree of its p2m list.</summary>
    public const uint VirtualP2MForTools = 1 << 4;

    /// <summary>"xen-3.0-x86_64".</summary>
    public StartInfoMagic Magic;

    /// <summary>Pages of the domain.</summary>
    public ulong PageCount;

    /// <summary>Machine address of the shared_info page.</summary>
    public ulong SharedInfo;
    public uint Flags;
    private readonly uint _padding0;

    /// <summary>Machine frame of the xenstore ring page.</summary>
    public ulong StoreFrame;
    public uint StorePort;
    private readonly uint _padding1;

    /// <summary>Machine frame of the console ring page.</summary>
    public ulong ConsoleFrame;
    public uint ConsolePort;
    private readonly uint _padding2;

    /// <summary>Linear address of the root page table.</summary>
    public ulong PageTableBase;

    /// <summary>Page-table frames of the initial mapping.</summary>
    public ulong PageTableFrames;

    /// <summary>Linear address of the p2m list.</summary>
    public ulong P2MList;

    /// <summary>Linear address of the ramdisk, or its first frame number (<see cref="ModuleStartIsPfn"/>).</summary>
    public ulong ModuleStart;

    /// <summary>Bytes of the ramdisk.</summary>
    public ulong ModuleLength;
    public StartInfoCommandLine CommandLine;

    /// <summary>First frame number of the p2m list and its page tables, where the guest chose its address.</summary>
    public ulong FirstP2MPfn;
    public ulong P2MFrames;
}

/// <summary>char magic[32].</summary>
[InlineArray(Size)]
public struct StartInfoMagic
{
    public const int Size = 32;
    private byte _first;
}

/// <summary>cmd_line[MAX_GUEST_CMDLINE], ended by NUL.</summary>
[InlineArray(Size)]
public struct StartInfoCommandLine
{
    /// <summary>MAX_GUEST_CMDLINE, the NUL included.</summary>
    public const int Size = 1024;
    private byte _first;
}
