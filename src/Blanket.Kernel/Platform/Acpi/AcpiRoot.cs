using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>Finds tables from the root pointer (ACPI 6.5, 5.2.5 to 5.2.8).</summary>
internal readonly struct AcpiRoot
{
    private const ulong FirmwareStart = 0xe0000;
    private const ulong FirmwareEnd = 0x100000;
    private const ulong ExtendedBiosPointer = 0x40e;
    private const ulong ExtendedBiosSize = 1024;
    private const int OldSize = 20;
    private const int NewSize = 36;
    private const int MaximumTables = 256;

    private readonly ulong _rootTable;
    private readonly int _entrySize;

    private AcpiRoot(ulong rootTable, int entrySize)
    {
        _rootTable = rootTable;
        _entrySize = entrySize;
    }

    /// <summary>Reads the root pointer at an address, or searches for one where a BIOS leaves it when the address is 0.</summary>
    /// <returns>False when there is none that is valid.</returns>
    internal static bool TryOpen(ulong address, out AcpiRoot root)
    {
        if (address != 0 && TryReadPointer(address, out root))
        {
            return true;
        }

        ulong extendedBios = AcpiTable.IsReadable(ExtendedBiosPointer, 2)
            ? (ulong)PhysicalMemory.Read<ushort>(ExtendedBiosPointer) << 4
            : 0;
        return TrySearch(extendedBios, extendedBios + ExtendedBiosSize, out root) || TrySearch(FirmwareStart, FirmwareEnd, out root);
    }

    private static bool TrySearch(ulong start, ulong end, out AcpiRoot root)
    {
        const ulong Alignment = 16;
        root = default;
        for (ulong address = start; address != 0 && address < end; address += Alignment)
        {
            if (TryReadPointer(address, out root))
            {
                return true;
            }
        }

        return false;
    }

    private static bool TryReadPointer(ulong address, out AcpiRoot root)
    {
        root = default;
        if (!AcpiTable.IsReadable(address, OldSize))
        {
            return false;
        }

        ReadOnlySpan<byte> pointer = PhysicalMemory.Bytes(address, OldSize);
        if (!pointer.StartsWith("RSD PTR "u8) || !AcpiTable.HasGoodSum(pointer))
        {
            return false;
        }

        uint rootTable = AcpiTable.Read32(pointer, 16);
        root = new AcpiRoot(rootTable, sizeof(uint));
        bool isNew = pointer[15] >= 2 && AcpiTable.IsReadable(address, NewSize);
        if (isNew)
        {
            pointer = PhysicalMemory.Bytes(address, NewSize);
            ulong extendedTable = AcpiTable.Read64(pointer, 24);
            if (AcpiTable.HasGoodSum(pointer) && extendedTable != 0 && AcpiTable.TryRead(extendedTable, out _))
            {
                root = new AcpiRoot(extendedTable, sizeof(ulong));
            }
        }

        return true;
    }

    /// <summary>The table with a signature.</summary>
    /// <param name="signature">Four letters.</param>
    /// <param name="skip">Good tables of that signature to pass over first: there are several SSDTs.</param>
    /// <param name="table">The table, checked.</param>
    /// <returns>False when there is no such table.</returns>
    internal bool TryFind(ReadOnlySpan<byte> signature, int skip, out ReadOnlySpan<byte> table)
    {
        table = default;
        if (!AcpiTable.TryRead(_rootTable, out ReadOnlySpan<byte> rootTable))
        {
            return false;
        }

        int count = Math.Min((rootTable.Length - AcpiTable.HeaderSize) / _entrySize, MaximumTables);
        for (int i = 0; i < count; i++)
        {
            int offset = AcpiTable.HeaderSize + i * _entrySize;
            ulong address = _entrySize == sizeof(uint) ? AcpiTable.Read32(rootTable, offset) : AcpiTable.Read64(rootTable, offset);
            if (AcpiTable.IsReadable(address, AcpiTable.HeaderSize)
                && PhysicalMemory.Read<uint>(address) == AcpiTable.Signature(signature)
                && AcpiTable.TryRead(address, out table)
                && skip-- == 0)
            {
                return true;
            }
        }

        table = default;
        return false;
    }
}
