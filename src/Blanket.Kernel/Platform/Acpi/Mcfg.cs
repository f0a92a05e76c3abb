using System;
using System.Runtime.CompilerServices;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>A part of PCI's memory-mapped configuration space.</summary>
public struct McfgEntry
{
    /// <summary>Physical address of bus 0's registers, whether or not bus 0 is in the part.</summary>
    public ulong Address;

    /// <summary>PCI segment group.</summary>
    public ushort Segment;

    /// <summary>First bus of the part.</summary>
    public byte FirstBus;

    /// <summary>Last bus of the part.</summary>
    public byte LastBus;
}

/// <summary>PCI's memory-mapped configuration space, from the MCFG (PCI Firmware Specification 3.3, 4.1.2).</summary>
public struct Mcfg
{
    /// <summary>The most parts that are remembered.</summary>
    public const int MaximumEntries = 8;

    private const int EntriesOffset = 44;
    private const int EntrySize = 16;

    [InlineArray(MaximumEntries)]
    private struct Entries
    {
        private McfgEntry _first;
    }

    private Entries _entries;

    /// <summary>Number of parts.</summary>
    public int Count;

    /// <summary>A part.</summary>
    public readonly McfgEntry this[int index] => _entries[index];

    /// <summary>Reads the table; an empty one has no parts.</summary>
    public void Parse(ReadOnlySpan<byte> table)
    {
        this = default;
        for (int offset = EntriesOffset; offset <= table.Length - EntrySize && Count < MaximumEntries; offset += EntrySize)
        {
            McfgEntry entry = new()
            {
                Address = AcpiTable.Read64(table, offset),
                Segment = AcpiTable.Read16(table, offset + 8),
                FirstBus = table[offset + 10],
                LastBus = table[offset + 11],
            };
            if (entry.Address != 0 && entry.FirstBus <= entry.LastBus)
            {
                _entries[Count++] = entry;
            }
        }
    }
}
