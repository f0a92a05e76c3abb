using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Boot;

/// <summary>How the boot loader entered the image; the numbers are Assembly/layout.inc's.</summary>
public enum BootProtocol : uint
{
    /// <summary>PVH: struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h).</summary>
    Pvh = 1,

    /// <summary>Multiboot2 specification, version 2.0.</summary>
    Multiboot2 = 2,
}

/// <summary>Whether the boot loader's information can be used.</summary>
public enum BootStatus : byte
{
    Valid,

    /// <summary>The entry code reported no protocol that is known here.</summary>
    UnknownProtocol,

    /// <summary>Magic number, version or size of the structure is wrong.</summary>
    Malformed,

    /// <summary>A part of it lies outside the first 4 GiB, where boot code cannot read.</summary>
    OutOfReach,

    /// <summary>It names no usable memory.</summary>
    NoMemory,
}

/// <summary>
/// What the boot loader says about the machine, the same for every boot protocol and copied: nothing here refers to the
/// loader's structures, except the addresses of the module and of ACPI's root pointer.
/// </summary>
public partial struct BootInformation
{
    /// <summary>The most bytes of the command line that are kept.</summary>
    public const int CommandLineCapacity = 2047;

    // Firmware maps have some hundred entries at most; a longer one is damaged.
    private const uint MaximumMapEntries = 4096;
    private const uint UsableMemory = 1;

    [InlineArray(CommandLineCapacity + 1)]
    private struct CommandLineBytes
    {
        private byte _first;
    }

    private static BootInformation s_current;

    private CommandLineBytes _commandLine;
    private int _commandLineLength;

    /// <summary>How the image was entered.</summary>
    public BootProtocol Protocol;

    /// <summary>Anything but Valid: do not use the rest.</summary>
    public BootStatus Status;

    /// <summary>Some usable memory was left out, because the firmware's map is in too many pieces.</summary>
    public bool IsMapTruncated;

    /// <summary>Memory that is usable: whole pages, sorted, disjoint; whatever the map also calls reserved is not in it.</summary>
    public MemoryRanges Usable;

    /// <summary>The first module, the boot bundle, as far as it is within <see cref="Usable"/>; empty when there is none.</summary>
    public PhysicalRange Bundle;

    /// <summary>Modules that the loader passed, usable or not.</summary>
    public uint ModuleCount;

    /// <summary>Physical address of ACPI's root pointer (RSDP); 0 when the loader gave none.</summary>
    public ulong RootPointer;

    /// <summary>The command line without its terminating zero.</summary>
    [UnscopedRef]
    public readonly ReadOnlySpan<byte> CommandLine => ((ReadOnlySpan<byte>)_commandLine).Slice(0, _commandLineLength);

    /// <summary>What <see cref="Parse"/> found.</summary>
    public static ref readonly BootInformation Current => ref s_current;

    /// <summary>Reads the loader's structures; once, at boot, with the first 4 GiB mapped.</summary>
    /// <param name="protocol">First argument of boot_main.</param>
    /// <param name="address">Second argument: physical address of the protocol's information structure.</param>
    public static ref readonly BootInformation Parse(uint protocol, ulong address)
    {
        s_current = default;
        s_current.Protocol = (BootProtocol)protocol;
        s_current.Status = s_current.Protocol switch
        {
            BootProtocol.Pvh => s_current.ParsePvh(address),
            BootProtocol.Multiboot2 => s_current.ParseMultiboot2(address),
            _ => BootStatus.UnknownProtocol,
        };
        s_current.Finish();
        return ref s_current;
    }

    private void Finish()
    {
        if (Status == BootStatus.Valid && Usable.Count == 0)
        {
            Status = BootStatus.NoMemory;
        }

        // QEMU places a PVH kernel's module before SeaBIOS has told what it keeps: with many disks that reaches into the module's end.
        Bundle = Usable.CoveredPart(Bundle);
    }

    private static bool IsReadable(ulong address, ulong length) =>
        address != 0 && address < PhysicalMemory.Limit && length <= PhysicalMemory.Limit - address;

    /// <summary>
    /// Takes the firmware's map, entries of (base, length, type) in the layout of ACPI 6.5, table 15.7: first all usable memory is
    /// added, then everything else is taken out, so that order and overlaps do not matter.
    /// </summary>
    private BootStatus TakeMemoryMap(ulong address, uint count, uint entrySize)
    {
        const uint MinimumEntrySize = 20;
        if (count > MaximumMapEntries || entrySize < MinimumEntrySize || entrySize > Cpu.PageSize)
        {
            return BootStatus.Malformed;
        }

        if (count == 0)
        {
            return BootStatus.NoMemory;
        }

        if (!IsReadable(address, (ulong)count * entrySize))
        {
            return BootStatus.OutOfReach;
        }

        for (uint i = 0; i < count; i++)
        {
            PhysicalRange range = ReadMapEntry(address + (ulong)i * entrySize, out uint type);
            if (type == UsableMemory && !Usable.TryAdd(range.WholePages()))
            {
                IsMapTruncated = true;
            }
        }

        for (uint i = 0; i < count; i++)
        {
            PhysicalRange range = ReadMapEntry(address + (ulong)i * entrySize, out uint type);
            if (type != UsableMemory && !Usable.Remove(range.TouchedPages()))
            {
                IsMapTruncated = true;
            }
        }

        return BootStatus.Valid;
    }

    private static PhysicalRange ReadMapEntry(ulong address, out uint type)
    {
        ulong start = PhysicalMemory.Read<ulong>(address);
        ulong length = PhysicalMemory.Read<ulong>(address + 8);
        type = PhysicalMemory.Read<uint>(address + 16);
        return PhysicalRange.OfLength(start, length);
    }

    /// <summary>Copies a zero-terminated command line; what is too long or runs out of reach is cut.</summary>
    private void TakeCommandLine(ulong address, ulong maximumLength)
    {
        Span<byte> bytes = _commandLine;
        int length = 0;
        while (length < CommandLineCapacity && (ulong)length < maximumLength && IsReadable(address + (ulong)length, 1))
        {
            byte value = PhysicalMemory.Read<byte>(address + (ulong)length);
            if (value == 0)
            {
                break;
            }

            bytes[length++] = value;
        }

        _commandLineLength = length;
    }

    private void TakeModule(ulong start, ulong length)
    {
        if (ModuleCount++ == 0 && length != 0)
        {
            Bundle = PhysicalRange.OfLength(start, length);
        }
    }
}
