using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>An I/O APIC.</summary>
public struct IoApicEntry
{
    /// <summary>Physical address of its registers.</summary>
    public uint Address;

    /// <summary>Global system interrupt of its first input.</summary>
    public uint FirstInterrupt;
}

/// <summary>Where an ISA interrupt is connected, if not identically.</summary>
public struct InterruptOverride
{
    /// <summary>ISA interrupt, 0 to 15.</summary>
    public byte Source;

    /// <summary>MPS INTI flags: polarity in bits 0-1, trigger mode in bits 2-3 (ACPI 6.5, table 5.26).</summary>
    public ushort Flags;

    /// <summary>Global system interrupt.</summary>
    public uint Interrupt;
}

/// <summary>CPUs and interrupt controllers, from the MADT (ACPI 6.5, 5.2.12).</summary>
public struct Madt
{
    /// <summary>The most I/O APICs that are remembered.</summary>
    public const int MaximumIoApics = 16;

    /// <summary>The most interrupt overrides that are remembered: one an ISA interrupt.</summary>
    public const int MaximumOverrides = 16;

    private const uint DefaultLocalApicAddress = 0xfee00000;
    private const int EntriesOffset = 44;
    private const uint ProcessorEnabled = 1;

    private enum EntryType : byte
    {
        LocalApic = 0,
        IoApic = 1,
        InterruptOverride = 2,
        LocalApicAddress = 5,
        LocalX2Apic = 9,
    }

    [InlineArray(Cpu.MaximumCpus)]
    private struct ProcessorIds
    {
        private uint _first;
    }

    [InlineArray(MaximumIoApics)]
    private struct IoApicEntries
    {
        private IoApicEntry _first;
    }

    [InlineArray(MaximumOverrides)]
    private struct Overrides
    {
        private InterruptOverride _first;
    }

    private ProcessorIds _processors;
    private IoApicEntries _ioApics;
    private Overrides _overrides;

    /// <summary>Enabled processors.</summary>
    public int ProcessorCount;

    /// <summary>Enabled processors beyond what <see cref="Cpu.MaximumCpus"/> allows; they stay off.</summary>
    public int ProcessorsLeftOut;

    /// <summary>I/O APICs.</summary>
    public int IoApicCount;

    /// <summary>Interrupt overrides.</summary>
    public int OverrideCount;

    /// <summary>Physical address of every CPU's local APIC in xAPIC mode.</summary>
    public ulong LocalApicAddress;

    /// <summary>The machine also has two 8259 interrupt controllers.</summary>
    public bool HasLegacyControllers;

    /// <summary>APIC id of a processor, in the table's order.</summary>
    public readonly uint Processor(int index) => _processors[index];

    /// <summary>An I/O APIC.</summary>
    [UnscopedRef]
    public readonly ref readonly IoApicEntry IoApic(int index) => ref _ioApics[index];

    /// <summary>An interrupt override.</summary>
    [UnscopedRef]
    public readonly ref readonly InterruptOverride Override(int index) => ref _overrides[index];

    /// <summary>Reads the table; an empty one describes a machine with its boot CPU only.</summary>
    public void Parse(ReadOnlySpan<byte> table)
    {
        this = default;
        LocalApicAddress = AcpiTable.Read32(table, AcpiTable.HeaderSize);
        HasLegacyControllers = (AcpiTable.Read32(table, 40) & 1) != 0;
        int offset = EntriesOffset;
        while (offset <= table.Length - 2)
        {
            int length = table[offset + 1];
            if (length < 2 || length > table.Length - offset)
            {
                break;
            }

            ParseEntry((EntryType)table[offset], table.Slice(offset, length));
            offset += length;
        }

        if (LocalApicAddress == 0)
        {
            LocalApicAddress = DefaultLocalApicAddress;
        }
    }

    private void ParseEntry(EntryType type, ReadOnlySpan<byte> entry)
    {
        switch (type)
        {
            case EntryType.LocalApic when entry.Length >= 8:
                AddProcessor(entry[3], AcpiTable.Read32(entry, 4));
                break;
            case EntryType.LocalX2Apic when entry.Length >= 16:
                AddProcessor(AcpiTable.Read32(entry, 4), AcpiTable.Read32(entry, 8));
                break;
            case EntryType.IoApic when entry.Length >= 12 && IoApicCount < MaximumIoApics:
                _ioApics[IoApicCount++] = new IoApicEntry
                {
                    Address = AcpiTable.Read32(entry, 4),
                    FirstInterrupt = AcpiTable.Read32(entry, 8),
                };
                break;
            case EntryType.InterruptOverride when entry.Length >= 10 && OverrideCount < MaximumOverrides:
                _overrides[OverrideCount++] = new InterruptOverride
                {
                    Source = entry[3],
                    Interrupt = AcpiTable.Read32(entry, 4),
                    Flags = AcpiTable.Read16(entry, 8),
                };
                break;
            case EntryType.LocalApicAddress when entry.Length >= 12:
                LocalApicAddress = AcpiTable.Read64(entry, 4);
                break;
            default:
                break;
        }
    }

    // A processor may be listed in both the old and the new form.
    private void AddProcessor(uint apicId, uint flags)
    {
        if ((flags & ProcessorEnabled) == 0)
        {
            return;
        }

        for (int i = 0; i < ProcessorCount; i++)
        {
            if (_processors[i] == apicId)
            {
                return;
            }
        }

        if (ProcessorCount == Cpu.MaximumCpus)
        {
            ProcessorsLeftOut++;
            return;
        }

        _processors[ProcessorCount++] = apicId;
    }
}
