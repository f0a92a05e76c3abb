using System;

namespace Blanket.Core.Building;

/// <summary>What a domain is to be built from.</summary>
public ref struct BuildRequest
{
    /// <summary>The kernel: an ELF file, not compressed. Not trusted.</summary>
    public ReadOnlySpan<byte> Kernel;

    /// <summary>The ramdisk as it is handed to the kernel; empty for none.</summary>
    public ReadOnlySpan<byte> Ramdisk;

    /// <summary>The command line without NUL, at most 1,023 bytes.</summary>
    public ReadOnlySpan<byte> CommandLine;

    /// <summary>The domain's memory in pages.</summary>
    public ulong Pages;

    /// <summary>The guest's event channel to xenstore.</summary>
    public uint StorePort;

    /// <summary>The guest's event channel to the console.</summary>
    public uint ConsolePort;
}

/// <summary>What others have to know about a domain that was built.</summary>
public struct BuildResult
{
    /// <summary>Frame of the xenstore ring; for grant reference GNTTAB_RESERVED_XENSTORE.</summary>
    public ulong StoreFrame;

    /// <summary>Frame of the console ring; for grant reference GNTTAB_RESERVED_CONSOLE.</summary>
    public ulong ConsoleFrame;

    /// <summary>Frame of the initial root page table.</summary>
    public ulong RootFrame;

    /// <summary>Linear address of start_info.</summary>
    public ulong StartInfoAddress;

    /// <summary>Linear address of the kernel's first instruction.</summary>
    public ulong Entry;
}
