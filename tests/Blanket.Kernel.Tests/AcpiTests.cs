using System;
using System.Buffers.Binary;
using System.Text;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Kernel.Tests;

public class AcpiTests
{
    private const ulong RootPointer = 0x10000, RootTable = 0x11000, FirstTable = 0x12000;

    private ulong _next = FirstTable;

    public AcpiTests() => PhysicalMemory.Simulate(BootStructures.SimulatedFrames);

    private static byte[] Table(string signature, int length, params (int Offset, ulong Value, int Size)[] fields)
    {
        byte[] table = new byte[length];
        Encoding.ASCII.GetBytes(signature).CopyTo(table, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(4), (uint)length);
        foreach ((int offset, ulong value, int size) in fields)
        {
            for (int i = 0; i < size; i++)
            {
                table[offset + i] = (byte)(value >> (8 * i));
            }
        }

        Seal(table, 9);
        return table;
    }

    private static void Seal(Span<byte> bytes, int sumOffset)
    {
        bytes[sumOffset] = 0;
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        bytes[sumOffset] = (byte)-sum;
    }

    private ulong Place(byte[] table)
    {
        ulong address = _next;
        BootStructures.Put(address, table);
        _next += ((ulong)table.Length + 15) & ~15UL;
        return address;
    }

    private static void PlaceRoot(bool extended, params ulong[] tables)
    {
        int size = extended ? 8 : 4;
        byte[] root = Table(extended ? "XSDT" : "RSDT", 36 + tables.Length * size);
        for (int i = 0; i < tables.Length; i++)
        {
            for (int b = 0; b < size; b++)
            {
                root[36 + i * size + b] = (byte)(tables[i] >> (8 * b));
            }
        }

        Seal(root, 9);
        BootStructures.Put(RootTable, root);
        BootStructures.Put(RootPointer, RootPointerBytes(extended));
    }

    private static byte[] RootPointerBytes(bool extended)
    {
        byte[] pointer = new byte[36];
        Encoding.ASCII.GetBytes("RSD PTR ").CopyTo(pointer, 0);
        pointer[15] = (byte)(extended ? 2 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(16), (uint)RootTable);
        BinaryPrimitives.WriteUInt32LittleEndian(pointer.AsSpan(20), 36);
        BinaryPrimitives.WriteUInt64LittleEndian(pointer.AsSpan(24), extended ? RootTable : 0);
        Seal(pointer.AsSpan(0, 20), 8);
        Seal(pointer, 32);
        return pointer;
    }

    private static byte[] PowerOffCode => [0x08, (byte)'_', (byte)'S', (byte)'5', (byte)'_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x0a, 0x07, 0x00, 0x00];

    private static byte[] CodeTable(string signature, byte[] code)
    {
        byte[] table = Table(signature, 36 + code.Length);
        code.CopyTo(table, 36);
        Seal(table, 9);
        return table;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AllTablesAreFound(bool extended)
    {
        ulong dsdt = Place(CodeTable("DSDT", [0x10, 0x20]));
        ulong fadt = Place(Table("FACP", 276, (40, dsdt, 4), (46, 9, 2), (48, 0xb2, 4), (52, 0xf1, 1), (64, 0x604, 4), (76, 0x608, 4),
            (108, 0x32, 1), (112, 1 << 10 | 1 << 8, 4), (116, 1, 1), (120, 0xcf9, 8), (128, 0x0f, 1)));
        ulong mcfg = Place(Table("MCFG", 60, (44, 0xb0000000, 8), (54, 0, 1), (55, 255, 1)));
        ulong hpet = Place(Table("HPET", 56, (40, 0, 1), (44, 0xfed00000, 8)));
        ulong other = Place(CodeTable("SSDT", [1, 2, 3]));
        ulong ssdt = Place(CodeTable("SSDT", PowerOffCode));
        PlaceRoot(extended, 0xfffffff0, fadt, mcfg, other, hpet, ssdt);
        AcpiInformation.Read(RootPointer);

        Assert.True(AcpiInformation.Exists);
        Assert.Equal(dsdt, AcpiInformation.Fadt.Dsdt);
        Assert.Equal(9, AcpiInformation.Fadt.SystemControlInterrupt);
        Assert.Equal((AcpiSpace.SystemIo, 0x604ul), (AcpiInformation.Fadt.Pm1aControl.Space, AcpiInformation.Fadt.Pm1aControl.Address));
        Assert.False(AcpiInformation.Fadt.Pm1bControl.Exists);
        Assert.True(AcpiInformation.Fadt.IsTimerWide);
        Assert.True(AcpiInformation.Fadt.HasReset);
        Assert.Equal(0xcf9ul, AcpiInformation.Fadt.Reset.Address);
        Assert.Equal(0x0f, AcpiInformation.Fadt.ResetValue);
        Assert.Equal(0x32, AcpiInformation.Fadt.CenturyRegister);
        Assert.Equal(1, AcpiInformation.Mcfg.Count);
        Assert.Equal((0xb0000000ul, 255), (AcpiInformation.Mcfg[0].Address, AcpiInformation.Mcfg[0].LastBus));
        Assert.Equal(0xfed00000ul, AcpiInformation.Hpet.Address);
        Assert.True(AcpiInformation.HasPowerOff);
        Assert.Equal((5, 7), (AcpiInformation.PowerOff.TypeA, AcpiInformation.PowerOff.TypeB));
    }

    [Fact]
    public void TheRootPointerIsSearchedWhereABiosLeavesIt()
    {
        PlaceRoot(false);
        BootStructures.Put(RootPointer, new byte[36]);
        AcpiInformation.Read(0);
        Assert.False(AcpiInformation.Exists);

        BootStructures.Put(0xf5a00, RootPointerBytes(false));
        AcpiInformation.Read(0);
        Assert.True(AcpiInformation.Exists);

        BootStructures.Put(0xf5a00, new byte[36]);
        PhysicalMemory.Write<ushort>(0x40e, 0x9fc0);
        BootStructures.Put(0x9fd00, RootPointerBytes(false));
        AcpiInformation.Read(0);
        Assert.True(AcpiInformation.Exists);
    }

    [Fact]
    public void DamagedTablesAreIgnored()
    {
        byte[] madt = Table("APIC", 52, (36, 0xfee00000, 4), (44, 0, 1), (45, 8, 1), (47, 3, 1), (48, 1, 4));
        ulong address = Place(madt);
        PlaceRoot(true, address);
        AcpiInformation.Read(RootPointer);
        Assert.Equal(1, AcpiInformation.Madt.ProcessorCount);

        PhysicalMemory.Write<byte>(address + 47, 4);
        AcpiInformation.Read(RootPointer);
        Assert.Equal(0, AcpiInformation.Madt.ProcessorCount);

        BootStructures.Put(address, madt);
        PhysicalMemory.Write(address + 4, uint.MaxValue);
        AcpiInformation.Read(RootPointer);
        Assert.Equal(0, AcpiInformation.Madt.ProcessorCount);

        // A bad extended root table: the old one serves.
        BootStructures.Put(address, madt);
        BootStructures.Put64(RootPointer + 24, 0x3000);
        PhysicalMemory.Write<byte>(RootPointer + 32, 0);
        Seal(PhysicalMemory.Bytes(RootPointer, 36), 32);
        AcpiInformation.Read(RootPointer);
        Assert.True(AcpiInformation.Exists);
    }

    [Fact]
    public void MadtListsProcessorsAndControllers()
    {
        byte[] table = new byte[44 + 8 * 3 + 16 * 2 + 12 + 10 + 12];
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(36), 0xfee00000);
        table[40] = 1;
        int offset = 44;
        void Add(params byte[] entry)
        {
            entry.CopyTo(table, offset);
            offset += entry.Length;
        }

        Add(0, 8, 0, 0, 1, 0, 0, 0);
        Add(0, 8, 1, 2, 1, 0, 0, 0);
        Add(0, 8, 2, 3, 0, 0, 0, 0);
        Add(9, 16, 0, 0, 0x34, 0x12, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0);
        Add(9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0);
        Add(1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0x10, 0, 0, 0);
        Add(2, 10, 0, 9, 20, 0, 0, 0, 0x0d, 0);
        Add(5, 12, 0, 0, 0, 0, 0, 0xfe, 1, 0, 0, 0);
        Madt madt = default;
        madt.Parse(table);
        Assert.Equal(3, madt.ProcessorCount);
        Assert.Equal((0u, 2u, 0x1234u), (madt.Processor(0), madt.Processor(1), madt.Processor(2)));
        Assert.Equal(1, madt.IoApicCount);
        Assert.Equal((0xfec00000u, 16u), (madt.IoApic(0).Address, madt.IoApic(0).FirstInterrupt));
        Assert.Equal(1, madt.OverrideCount);
        Assert.Equal((9, 20u, 0x0d), (madt.Override(0).Source, madt.Override(0).Interrupt, madt.Override(0).Flags));
        Assert.Equal(0x1_fe000000ul, madt.LocalApicAddress);
        Assert.True(madt.HasLegacyControllers);
    }

    [Fact]
    public void MoreProcessorsThanCanBeUsedAreCounted()
    {
        byte[] table = new byte[44 + 8 * 200];
        for (int i = 0; i < 200; i++)
        {
            new byte[] { 0, 8, 0, (byte)i, 1, 0, 0, 0 }.CopyTo(table, 44 + i * 8);
        }

        Madt madt = default;
        madt.Parse(table);
        Assert.Equal(Cpu.MaximumCpus, madt.ProcessorCount);
        Assert.Equal(200 - Cpu.MaximumCpus, madt.ProcessorsLeftOut);
    }

    [Theory]
    [InlineData("085F53355F120604000000 00", 0, 0)]
    [InlineData("FF085C5F53355F1206040A050A0500", 5, 5)]
    [InlineData("085F53355F12070201FFAABB", 1, 7)]
    [InlineData("085F53355F1247000B0300 0C04000000", -1, -1)]
    [InlineData("085F53355F1247 00020B0300 0C04000000", 3, 4)]
    [InlineData("085F53355F120501 0A02", 2, 0)]
    [InlineData("095F53355F1206040A050A05", -1, -1)]
    [InlineData("085F53355F1206040A", -1, -1)]
    [InlineData("085F53355F12C6", -1, -1)]
    [InlineData("085F53355F", -1, -1)]
    [InlineData("085F53345F12060401010000", -1, -1)]
    public void SleepPackagesAreFoundByTheirBytes(string hex, int typeA, int typeB)
    {
        byte[] code = Convert.FromHexString(hex.Replace(" ", ""));
        bool found = SleepPackage.TryFind(code, out SleepPackage package);
        Assert.Equal(typeA >= 0, found);
        if (found)
        {
            Assert.Equal((typeA, typeB), (package.TypeA, package.TypeB));
        }
    }

    [Property(MaxTest = 300)]
    public void NothingInATableCanMakeParsingFail(byte[] content, byte[] code)
    {
        Madt madt = default;
        madt.Parse(content);
        Assert.InRange(madt.ProcessorCount, 0, Cpu.MaximumCpus);
        byte[] padded = new byte[44 + content.Length];
        content.CopyTo(padded, 44);
        madt.Parse(padded);
        Assert.InRange(madt.IoApicCount, 0, Madt.MaximumIoApics);
        Fadt fadt = default;
        fadt.Parse(content);
        Mcfg mcfg = default;
        mcfg.Parse(padded);
        Assert.InRange(mcfg.Count, 0, Mcfg.MaximumEntries);
        byte[] sleep = [.. "\u0008_S5_"u8, 0x12, .. code];
        SleepPackage.TryFind(sleep, out _);
    }

    [Property(MaxTest = 200)]
    public void NothingInMemoryCanMakeReadingFail(byte[] noise, ushort position)
    {
        PhysicalMemory.Simulate(BootStructures.SimulatedFrames);
        ulong table = Place(Table("SSDT", 40));
        PlaceRoot(false, table, table, PhysicalMemory.Limit - 2);
        noise.AsSpan(0, Math.Min(noise.Length, 32)).CopyTo(PhysicalMemory.Bytes(RootPointer + position % 0x3000u, 32));
        AcpiInformation.Read(RootPointer);
        Assert.Equal(0, AcpiInformation.Madt.ProcessorCount);
    }
}
