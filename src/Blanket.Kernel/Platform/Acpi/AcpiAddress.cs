using System;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>Address spaces of registers (ACPI 6.5, 5.2.3.2).</summary>
public enum AcpiSpace : byte
{
    SystemMemory = 0,
    SystemIo = 1,
    PciConfiguration = 2,
}

/// <summary>A generic address structure: where a register is (ACPI 6.5, 5.2.3.2).</summary>
public readonly struct AcpiAddress
{
    /// <summary>Bytes of the structure.</summary>
    internal const int Size = 12;

    /// <summary>Address space.</summary>
    public readonly AcpiSpace Space;

    /// <summary>Address in the space; 0 for no register.</summary>
    public readonly ulong Address;

    /// <summary>An address in a space.</summary>
    public AcpiAddress(AcpiSpace space, ulong address)
    {
        Space = space;
        Address = address;
    }

    /// <summary>Whether there is a register.</summary>
    public bool Exists => Address != 0;

    /// <summary>The structure in a table; none where the table is too short for it.</summary>
    internal static AcpiAddress Read(ReadOnlySpan<byte> table, int offset) =>
        offset <= table.Length - Size ? new((AcpiSpace)table[offset], AcpiTable.Read64(table, offset + 4)) : default;

    /// <summary>The extended form of a register if it is filled in, else the old form: an I/O port.</summary>
    internal static AcpiAddress ReadEither(ReadOnlySpan<byte> table, int extendedOffset, int portOffset)
    {
        AcpiAddress extended = Read(table, extendedOffset);
        return extended.Exists ? extended : new AcpiAddress(AcpiSpace.SystemIo, AcpiTable.Read32(table, portOffset));
    }
}
