using System;
using System.Buffers.Binary;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>ACPI tables in memory (ACPI 6.5, 5.2): bounds, lengths and checksums. Firmware is L0's, so nothing is taken on trust.</summary>
internal static class AcpiTable
{
    /// <summary>Bytes of the header that every table starts with (5.2.6).</summary>
    internal const int HeaderSize = 36;

    // The largest tables, DSDTs, have some hundred KiB.
    private const uint MaximumLength = 4 << 20;
    private const int LengthOffset = 4;

    /// <summary>The four letters of a signature as they stand in memory.</summary>
    internal static uint Signature(ReadOnlySpan<byte> letters) => BinaryPrimitives.ReadUInt32LittleEndian(letters);

    /// <summary>Whether boot code can read a range.</summary>
    internal static bool IsReadable(ulong address, ulong length) =>
        address != 0 && address < PhysicalMemory.Limit && length <= PhysicalMemory.Limit - address;

    /// <summary>A whole table, checked.</summary>
    /// <returns>False when it is out of reach, has a bad length or a bad checksum.</returns>
    internal static bool TryRead(ulong address, out ReadOnlySpan<byte> table)
    {
        table = default;
        if (!IsReadable(address, HeaderSize))
        {
            return false;
        }

        uint length = PhysicalMemory.Read<uint>(address + LengthOffset);
        if (length < HeaderSize || length > MaximumLength || !IsReadable(address, length))
        {
            return false;
        }

        table = PhysicalMemory.Bytes(address, (int)length);
        return HasGoodSum(table);
    }

    /// <summary>All bytes of a structure with a checksum add up to 0.</summary>
    internal static bool HasGoodSum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        foreach (byte value in bytes)
        {
            sum = unchecked(sum + value);
        }

        return (sum & 0xff) == 0;
    }

    /// <summary>A field, or 0 where the table is too short to have it: older revisions are.</summary>
    internal static byte Read8(ReadOnlySpan<byte> table, int offset) => offset < table.Length ? table[offset] : (byte)0;

    /// <inheritdoc cref="Read8"/>
    internal static ushort Read16(ReadOnlySpan<byte> table, int offset) =>
        offset <= table.Length - 2 ? BinaryPrimitives.ReadUInt16LittleEndian(table.Slice(offset)) : (ushort)0;

    /// <inheritdoc cref="Read8"/>
    internal static uint Read32(ReadOnlySpan<byte> table, int offset) =>
        offset <= table.Length - 4 ? BinaryPrimitives.ReadUInt32LittleEndian(table.Slice(offset)) : 0;

    /// <inheritdoc cref="Read8"/>
    internal static ulong Read64(ReadOnlySpan<byte> table, int offset) =>
        offset <= table.Length - 8 ? BinaryPrimitives.ReadUInt64LittleEndian(table.Slice(offset)) : 0;
}
