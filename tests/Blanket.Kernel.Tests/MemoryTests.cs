using System;
using Blanket.Kernel.Boot;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

/// <summary>The hypervisor's address space, built in simulated memory for a machine of 512 MiB with holes.</summary>
public class MemoryTests
{
    // The tables for the simulated machine must themselves fit below the end of simulated memory.
    private const int SimulatedFrames = 6144;
    private const ulong ImageStart = 0x200000, TextEnd = 0x230000, ReadOnlyEnd = 0x238000, ImageEnd = 0x280000;
    private const ulong EndOfMemory = 0x2000_0000;
    private const ulong HoleStart = 0x1200_0000, HoleEnd = 0x1800_0000;

    private readonly ulong _root;

    public MemoryTests()
    {
        PhysicalMemory.Simulate(SimulatedFrames);
        ImageLayout.Simulate(ImageStart, TextEnd, ReadOnlyEnd, ImageEnd);
        BootStructures.PutPvh((0, 0x9f000, 1), (0x100000, HoleStart - 0x100000, 1), (HoleEnd, EndOfMemory - HoleEnd, 1));
        BootStructures.Put64(BootStructures.ModuleList, 0x700000);
        BootInformation information = BootInformation.Parse((uint)BootProtocol.Pvh, BootStructures.Information);
        Memory.ChooseMemory(in information);
        Assert.True(Memory.TryBuildAddressSpace(false, out _root));
        Assert.True(Memory.TryBuildTables(_root, 20));
    }

    private PageWalk Walk(ulong linear) => PageWalk.Of(_root, linear);

    [Theory]
    [InlineData(0ul, 0x1000ul)]
    [InlineData(0x9efffUL, 0x1000ul)]
    [InlineData(0x1ff000ul, 0x1000ul)]
    [InlineData(0x200000ul, 0x1000ul)]
    [InlineData(0x400000ul, 0x200000ul)]
    [InlineData(HoleStart - 1, 0x200000ul)]
    [InlineData(HoleEnd, 0x200000ul)]
    [InlineData(EndOfMemory - 1, 0x200000ul)]
    public void MemoryIsInTheDirectMap(ulong physical, ulong pageSize)
    {
        PageWalk walk = Walk(AddressSpace.DirectMapBase + physical);
        Assert.Equal(physical, walk.Physical);
        Assert.Equal(pageSize, walk.PageSize);
        Assert.True(walk.IsPresent && walk.IsWritable && !walk.IsUser && !walk.IsExecutable && !walk.IsUncached);
    }

    [Theory]
    [InlineData(0x9f000ul)]
    [InlineData(0xff000ul)]
    [InlineData(HoleStart)]
    [InlineData(HoleEnd - 1)]
    [InlineData(EndOfMemory)]
    public void HolesAreNotInTheDirectMap(ulong physical) => Assert.False(Walk(AddressSpace.DirectMapBase + physical).IsPresent);

    [Fact]
    public void TheImageIsWritableOrExecutable()
    {
        for (ulong address = ImageStart; address < ImageEnd; address += 0x1000)
        {
            PageWalk walk = Walk(AddressSpace.ImageBase + address);
            Assert.Equal(address, walk.Physical);
            Assert.Equal(address < TextEnd, walk.IsExecutable);
            Assert.Equal(address >= ReadOnlyEnd, walk.IsWritable);
            Assert.False(walk.IsUser);
        }

        Assert.False(Walk(AddressSpace.ImageBase + ImageEnd).IsPresent);
        Assert.False(Walk(AddressSpace.ImageBase + ImageStart - 1).IsPresent);
        DirectMap.SealImage(_root);
        Assert.False(Walk(AddressSpace.DirectMapBase + ImageStart).IsWritable);
        Assert.False(Walk(AddressSpace.DirectMapBase + ReadOnlyEnd - 1).IsWritable);
        Assert.True(Walk(AddressSpace.DirectMapBase + ReadOnlyEnd).IsWritable);
    }

    [Fact]
    public void GuestsReadTheMachineToPhysicalTableAndNothingElse()
    {
        ulong size = (EndOfMemory >> 12) * 8;
        for (ulong offset = 0; offset < size; offset += 0x1000)
        {
            PageWalk walk = Walk(AddressSpace.MachineToPhysicalBase + offset);
            Assert.Equal(Memory.MachineToPhysicalAddress + offset, walk.Physical);
            Assert.True(walk.IsPresent && walk.IsUser && !walk.IsWritable && !walk.IsExecutable);
        }

        Assert.False(Walk(AddressSpace.MachineToPhysicalBase + size).IsPresent);
        Assert.Equal(0ul, Memory.MachineToPhysicalAddress & 0x1fffff);
        for (int slot = 0; slot < 512; slot++)
        {
            ulong entry = PhysicalMemory.FrameAs<ulong>(_root)[slot];
            Assert.True(slot == 256 || (entry & 4) == 0);
            Assert.True(entry == 0 || (slot >= 256 && slot < 272));
        }
    }

    [Fact]
    public void EveryFrameOfMemoryHasAWritableRecordAndHolesShareOne()
    {
        System.Collections.Generic.HashSet<ulong> seen = [];
        ulong hole = 0;
        for (ulong frame = 0; frame < EndOfMemory >> 12; frame += 128)
        {
            ulong physical = frame << 12;
            bool isMemory = physical < HoleStart || physical >= HoleEnd;
            PageWalk walk = Walk(Memory.FrameTableBase + frame * 32);
            Assert.True(walk.IsPresent && !walk.IsUser && !walk.IsExecutable);
            Assert.Equal(isMemory, walk.IsWritable);
            if (isMemory)
            {
                Assert.True(seen.Add(walk.Physical));
            }
            else
            {
                Assert.True(hole == 0 || hole == walk.Physical);
                hole = walk.Physical;
            }

            Assert.Equal(-1, PhysicalMemory.Bytes(walk.Physical, 4096).IndexOfAnyExcept((byte)0));
        }
    }

    [Fact]
    public void NothingThatIsTakenIsFree()
    {
        MemoryRanges free = BootFrames.Free;
        Assert.False(free.Overlaps(new PhysicalRange(0, 0x100000)));
        Assert.False(free.Overlaps(new PhysicalRange(ImageStart, ImageEnd)));
        Assert.False(free.Overlaps(new PhysicalRange(0x700000, 0x703000)));
        Assert.True(free.Overlaps(new PhysicalRange(0x703000, 0x704000)));
        Assert.False(free.Overlaps(new PhysicalRange(Memory.MachineToPhysicalAddress, Memory.MachineToPhysicalAddress + 0x100000)));
        Assert.False(free.Overlaps(new PhysicalRange(_root << 12, (_root + 1) << 12)));
        Assert.False(free.Overlaps(new PhysicalRange(HoleStart, HoleEnd)));
        Assert.Equal(0x9e000ul, Memory.TrampolineFrame << 12);
    }

    [Fact]
    public void DescriptorWindowsStartEmpty()
    {
        PageWalk empty = Walk(AddressSpace.DescriptorTablesBase);
        for (ulong page = 0; page < 20 * DescriptorWindow.PagesPerCpu; page++)
        {
            PageWalk walk = Walk(AddressSpace.DescriptorTablesBase + page * 4096);
            Assert.True(walk.IsPresent && !walk.IsWritable && !walk.IsUser);
            Assert.Equal(empty.Physical, walk.Physical);
        }

        DescriptorWindow.Map(17, 14, 0x123, true);
        PageWalk mapped = Walk(AddressSpace.DescriptorTablesBase + (17 * 32 + 14) * 4096);
        Assert.True(mapped.IsWritable && !mapped.IsUser);
        Assert.Equal(0x123000ul, mapped.Physical);
        DescriptorWindow.Map(17, 14, 0x124, false);
        Assert.False(Walk(AddressSpace.DescriptorTablesBase + (17 * 32 + 14) * 4096).IsWritable);
        DescriptorWindow.Clear(17, 14);
        Assert.Equal(empty.Physical, Walk(AddressSpace.DescriptorTablesBase + (17 * 32 + 14) * 4096).Physical);
    }

    [Fact]
    public void ASmallPieceOfMemoryFarUpIsLeftOut()
    {
        PhysicalMemory.Simulate(SimulatedFrames);
        BootStructures.PutPvh((0x100000, 0x8000000, 1), (1UL << 41, 0x4000000, 1));
        BootInformation information = BootInformation.Parse((uint)BootProtocol.Pvh, BootStructures.Information);
        Memory.ChooseMemory(in information);
        Assert.Equal(0x8100000ul, BootFrames.Free.End);
    }
}
