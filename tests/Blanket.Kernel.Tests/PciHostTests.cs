using System;
using System.Buffers.Binary;
using Blanket.Drivers.Pci;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Platform.Acpi;

namespace Blanket.Kernel.Tests;

public class PciHostTests
{
    private static Mcfg McfgAt(ulong address, byte lastBus)
    {
        byte[] table = new byte[60];
        BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(44), address);
        table[55] = lastBus;
        Mcfg mcfg = default;
        mcfg.Parse(table);
        return mcfg;
    }

    private static PciWindows Windows(Mcfg mcfg, params (ulong Start, ulong End)[] memory)
    {
        MemoryRanges ranges = default;
        foreach ((ulong start, ulong end) in memory)
        {
            Assert.True(ranges.TryAdd(new PhysicalRange(start, end)));
        }

        PciWindows windows = new();
        PciHost.SetWindows(windows, in ranges, in mcfg, 40);
        return windows;
    }

    [Fact]
    public void WindowsLieAboveMemory()
    {
        PciWindows windows = Windows(default, (0, 0x9f000), (0x100000, 0x3ffe0000));
        Assert.Equal((0x40000000ul, 0xfec00000ul), (windows.Memory.Start, windows.Memory.End));
        Assert.Equal((0x1_00000000ul, 1ul << 40), (windows.Memory64.Start, windows.Memory64.End));
    }

    [Fact]
    public void WindowsAvoidConfigurationSpace()
    {
        PciWindows windows = Windows(McfgAt(0xb0000000, 255), (0x100000, 0x7ffdf000), (0x1_00000000, 0x2_80000000));
        Assert.Equal((0xc0000000ul, 0xfec00000ul), (windows.Memory.Start, windows.Memory.End));
        Assert.Equal(0x2_80000000ul, windows.Memory64.Start);
    }

    [Fact]
    public void WithoutRoomTheWindowIsEmpty()
    {
        PciWindows windows = Windows(default, (0x100000, 0xfee00000), (0x1_00000000, 1ul << 40));
        Assert.Equal(windows.Memory.Start, windows.Memory.End);
        Assert.Equal(windows.Memory64.Start, windows.Memory64.End);
    }
}
