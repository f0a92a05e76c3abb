using System;
using System.Text;
using Blanket.Kernel.Boot;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Kernel.Tests;

public class BootInformationTests
{
    private const uint Pvh = (uint)BootProtocol.Pvh;
    private const uint Multiboot2 = (uint)BootProtocol.Multiboot2;

    public BootInformationTests() => PhysicalMemory.Simulate(BootStructures.SimulatedFrames);

    private static BootInformation Parse(uint protocol) => BootInformation.Parse(protocol, BootStructures.Information);

    [Fact]
    public void PvhIsRead()
    {
        BootStructures.PutPvh((0, 0x9fc00, 1), (0x9fc00, 0x400, 2), (0xf0000, 0x10000, 2), (0x100000, 0x3fe00000, 1));
        BootInformation information = Parse(Pvh);
        Assert.Equal(BootStatus.Valid, information.Status);
        Assert.Equal(2, information.Usable.Count);
        Assert.Equal((0ul, 0x9f000ul), (information.Usable[0].Start, information.Usable[0].End));
        Assert.Equal((0x100000ul, 0x3ff00000ul), (information.Usable[1].Start, information.Usable[1].End));
        Assert.Equal((0x40000ul, 0x42345ul), (information.Bundle.Start, information.Bundle.End));
        Assert.Equal(0xf5a00ul, information.RootPointer);
        Assert.Equal("console=com1 loglevel=3", Encoding.ASCII.GetString(information.CommandLine));
        Assert.False(information.IsMapTruncated);
    }

    [Fact]
    public void Multiboot2IsRead()
    {
        Multiboot2Builder builder = new();
        builder.Tag(1, "quiet\0"u8);
        builder.Tag(2, "some boot loader\0"u8);
        builder.Module(0x200000, 0x234567);
        builder.Module(0x300000, 0x300001);
        builder.MemoryMap((0x100000, 0x7ff00000, 1), (0x40000000, 0x1000, 3));
        builder.Tag(14, new byte[20]);
        ulong newRootPointer = builder.Tag(15, new byte[36]);
        builder.Finish();
        BootInformation information = Parse(Multiboot2);
        Assert.Equal(BootStatus.Valid, information.Status);
        Assert.Equal(2, information.Usable.Count);
        Assert.Equal(0x40000000ul, information.Usable[0].End);
        Assert.Equal(0x40001000ul, information.Usable[1].Start);
        Assert.Equal(2u, information.ModuleCount);
        Assert.Equal((0x200000ul, 0x234567ul), (information.Bundle.Start, information.Bundle.End));
        Assert.Equal(newRootPointer + 8, information.RootPointer);
        Assert.Equal("quiet", Encoding.ASCII.GetString(information.CommandLine));
    }

    [Fact]
    public void TheOldRootPointerServesWithoutTheNewOne()
    {
        Multiboot2Builder builder = new();
        builder.MemoryMap((0, 0x100000, 1));
        ulong tag = builder.Tag(14, new byte[20]);
        builder.Finish();
        Assert.Equal(tag + 8, Parse(Multiboot2).RootPointer);
    }

    [Fact]
    public void ReservedWinsWhateverTheOrder()
    {
        BootStructures.PutPvh((0x20000, 0x1000, 2), (0, 0x80000, 1), (0x30800, 0x10, 4), (0x30000, 0x20000, 1), (0x60000, 0, 2));
        BootInformation information = Parse(Pvh);
        Assert.Equal(3, information.Usable.Count);
        Assert.Equal((0ul, 0x20000ul), (information.Usable[0].Start, information.Usable[0].End));
        Assert.Equal((0x21000ul, 0x30000ul), (information.Usable[1].Start, information.Usable[1].End));
        Assert.Equal((0x31000ul, 0x80000ul), (information.Usable[2].Start, information.Usable[2].End));
    }

    [Fact]
    public void AModuleOutsideUsableMemoryIsRefused()
    {
        BootStructures.PutPvh((0, 0x40000, 1));
        BootInformation information = Parse(Pvh);
        Assert.True(information.Bundle.IsEmpty);
        Assert.Equal(1u, information.ModuleCount);
    }

    /// <summary>QEMU with SeaBIOS and several virtio disks.</summary>
    [Fact]
    public void AModuleThatFirmwareKeepsTheEndOfIsCut()
    {
        BootStructures.PutPvh((0, 0x41000, 1), (0x41000, 0x10000, 2), (0x100000, 0x100000, 1));
        BootInformation information = Parse(Pvh);
        Assert.Equal((0x40000ul, 0x41000ul), (information.Bundle.Start, information.Bundle.End));
    }

    [Fact]
    public void AnEndlessCommandLineIsCut()
    {
        BootStructures.PutPvh((0, 0x80000, 1));
        PhysicalMemory.Bytes(BootStructures.CommandLine, 8192).Fill((byte)'x');
        Assert.Equal(BootInformation.CommandLineCapacity, Parse(Pvh).CommandLine.Length);
        ulong last = PhysicalMemory.Limit - 3;
        BootStructures.Put(last, "abc"u8);
        BootStructures.Put64(BootStructures.Information + 24, last);
        Assert.Equal("abc", Encoding.ASCII.GetString(Parse(Pvh).CommandLine));
    }

    [Fact]
    public void AMapInTooManyPiecesLosesMemoryOnly()
    {
        (ulong, ulong, uint)[] map = new (ulong, ulong, uint)[300];
        for (int i = 0; i < map.Length; i++)
        {
            map[i] = ((ulong)i * 0x10000, 0x1000, 1);
        }

        BootStructures.PutPvh(map);
        BootInformation information = Parse(Pvh);
        Assert.Equal(BootStatus.Valid, information.Status);
        Assert.True(information.IsMapTruncated);
        Assert.Equal(128, information.Usable.Count);
    }

    [Fact]
    public void BadHeadersAreRefused()
    {
        Assert.Equal(BootStatus.UnknownProtocol, Parse(7).Status);
        Assert.Equal(BootStatus.Malformed, Parse(Pvh).Status);
        Assert.Equal(BootStatus.Malformed, Parse(Multiboot2).Status);
        Assert.Equal(BootStatus.OutOfReach, BootInformation.Parse(Pvh, 0).Status);
        Assert.Equal(BootStatus.OutOfReach, BootInformation.Parse(Pvh, PhysicalMemory.Limit - 8).Status);
        Assert.Equal(BootStatus.OutOfReach, BootInformation.Parse(Multiboot2, ulong.MaxValue - 3).Status);

        BootStructures.PutPvh((0, 0x80000, 1));
        BootStructures.Put32(BootStructures.Information + 4, 0);
        Assert.Equal(BootStatus.Malformed, Parse(Pvh).Status);
        BootStructures.PutPvh();
        Assert.Equal(BootStatus.NoMemory, Parse(Pvh).Status);
        BootStructures.PutPvh((0, 0x80000, 2));
        Assert.Equal(BootStatus.NoMemory, Parse(Pvh).Status);
        BootStructures.PutPvh((0, 0x80000, 1));
        BootStructures.Put32(BootStructures.Information + 48, uint.MaxValue);
        Assert.Equal(BootStatus.Malformed, Parse(Pvh).Status);
        BootStructures.PutPvh((0, 0x80000, 1));
        BootStructures.Put64(BootStructures.Information + 40, PhysicalMemory.Limit - 1);
        Assert.Equal(BootStatus.OutOfReach, Parse(Pvh).Status);
    }

    [Fact]
    public void BadTagsAreRefused()
    {
        Multiboot2Builder builder = new();
        ulong map = builder.MemoryMap((0, 0x80000, 1));
        builder.Finish();
        BootStructures.Put32(map + 4, 7);
        Assert.Equal(BootStatus.Malformed, Parse(Multiboot2).Status);
        BootStructures.Put32(map + 4, 0x10000);
        Assert.Equal(BootStatus.Malformed, Parse(Multiboot2).Status);
        BootStructures.Put32(map + 4, 8 + 8 + 24);
        BootStructures.Put32(map + 8, 0);
        Assert.Equal(BootStatus.Malformed, Parse(Multiboot2).Status);
        BootStructures.Put32(map + 8, 19);
        Assert.Equal(BootStatus.Malformed, Parse(Multiboot2).Status);
    }

    [Property(MaxTest = 500)]
    public void NothingInTheStructureCanMakeItFail(byte[] noise, int position, bool isPvh)
    {
        PhysicalMemory.Simulate(BootStructures.SimulatedFrames);
        if (isPvh)
        {
            BootStructures.PutPvh((0, 0x80000, 1), (0x20000, 0x1000, 2));
        }
        else
        {
            Multiboot2Builder builder = new();
            builder.Tag(1, "quiet\0"u8);
            builder.Module(0x20000, 0x24567);
            builder.MemoryMap((0, 0x80000, 1), (0x30000, 0x1000, 3));
            builder.Finish();
        }

        ulong target = BootStructures.Information + (uint)position % 160;
        noise.AsSpan(0, Math.Min(noise.Length, 64)).CopyTo(PhysicalMemory.Bytes(target, 64));
        BootInformation information = Parse(isPvh ? Pvh : Multiboot2);
        Assert.True(information.Status != BootStatus.Valid || information.Usable.Count > 0);
        Assert.True(information.Bundle.IsEmpty || information.Usable.Covers(information.Bundle));
    }
}
