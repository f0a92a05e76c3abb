using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Building;

public class DomainBuilderTests
{
    private const ulong PaddingBytes = 512 * 1024;
    private const ulong RegionAlignment = 4 << 20;

    private static byte[] Bytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    [Fact]
    public void LinuxFindsWhatStartOfDayPromises()
    {
        byte[] text = Bytes(0x3210, 1);
        byte[] ramdisk = Bytes(70_001, 2);
        BuiltGuest guest = new(KernelImage.Linux(text, 0x8000).ToArray(), ramdisk, "console=hvc0", 12_288, 14_000);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        StartInfo info = guest.StartInfo;

        Assert.Equal("xen-3.0-x86_64", Encoding.ASCII.GetString(info.Magic).TrimEnd('\0'));
        Assert.Equal("console=hvc0", Encoding.ASCII.GetString(info.CommandLine).TrimEnd('\0'));
        Assert.Equal(12_288UL, info.PageCount);
        Assert.Equal(guest.Domain.SharedInfoFrame << Cpu.PageShift, info.SharedInfo);
        Assert.Equal(StartInfo.ModuleStartIsPfn | StartInfo.VirtualP2MForTools, info.Flags);
        Assert.Equal(1U, info.StorePort);
        Assert.Equal(2U, info.ConsolePort);
        Assert.Equal(0x8000000000UL, info.P2MList);
        Assert.Equal((ulong)ramdisk.Length, info.ModuleLength);
        Assert.Equal(ramdisk, guest.ReadPages(info.ModuleStart, ramdisk.Length));

        byte[] kernel = guest.Read(KernelImage.LinuxBase + 0x1000000, 0x8000);
        Assert.Equal(text.AsSpan(0, 0x1000), kernel.AsSpan(0, 0x1000));
        Assert.Equal(text.AsSpan(0x2000), kernel.AsSpan(0x2000, 0x1210));
        Assert.True(kernel.AsSpan(0x3210).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(new byte[] { 0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05 }, kernel[0x1000..0x100a]);

        // First pages of the p2m region and its tables follow the ramdisk.
        Assert.Equal(info.ModuleStart + 18, info.FirstP2MPfn);
        Assert.Equal(12_288UL * 8 / 4096 + 3, info.P2MFrames);
        AssertLayout(guest, KernelImage.LinuxBase);
        AssertFirstVcpu(guest, KernelImage.LinuxBase + 0x1000010);
        guest.Machine.Audit();
        guest.Destroy();
    }

    /// <summary>A domain that is built in goes, each of which is interrupted as soon as it looks, is the same as one that is built in one.</summary>
    [Fact]
    public void InterruptionsChangeNothing()
    {
        const ulong pages = 12_288;
        byte[] kernel = KernelImage.Linux(Bytes(0x3210, 1), 0x8000).ToArray();
        byte[] ramdisk = Bytes(300_001, 2);
        BuiltGuest expected = new(kernel, ramdisk, "quiet", pages, 14_000);
        Dictionary<ulong, ulong> pageOfFrame = [];
        List<byte[]> contents = [];
        for (ulong pfn = 0; pfn < pages; pfn++)
        {
            pageOfFrame[expected.Frame(pfn)] = pfn;
            contents.Add(expected.ReadPages(pfn, Cpu.PageSize));
        }

        expected.Destroy();
        BuiltGuest guest = new(kernel, ramdisk, "quiet", pages, 14_000, int.MaxValue);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        Assert.True(guest.Goes > (int)pages / 64, $"{guest.Goes} goes");
        guest.Machine.Audit();
        for (ulong pfn = 0; pfn < pages; pfn++)
        {
            // The machine is a new one: it gives out its frames in the same order.
            Assert.Equal(pfn, pageOfFrame[guest.Frame(pfn)]);
            Assert.True(contents[(int)pfn].AsSpan().SequenceEqual(guest.ReadPages(pfn, Cpu.PageSize)), $"page {pfn}");
        }

        AssertFirstVcpu(guest, KernelImage.LinuxBase + 0x1000010);
        guest.Destroy();
    }

    /// <summary>A domain that is given up in any go takes nothing with it.</summary>
    [Property(MaxTest = 40)]
    public void AnAbandonedConstructionLeavesNothing(ushort goes)
    {
        const int most = 260;
        BuiltGuest guest = new(KernelImage.Linux(Bytes(0x3210, 1), 0x8000).ToArray(), Bytes(300_001, 2), "quiet", 12_288, 14_000, 1 + goes % most);
        Assert.True(guest.Status is BuildStatus.Unfinished or BuildStatus.Ok);
        guest.Machine.Audit();
        guest.Destroy();
    }

    [Fact]
    public void SmallKernelGetsEverythingInOneRegion()
    {
        byte[] text = Bytes(5000, 3);
        byte[] ramdisk = Bytes(9000, 4);
        BuiltGuest guest = new(KernelImage.Small(text, 0x40_0000).ToArray(), ramdisk, "", 4096, 5000);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        StartInfo info = guest.StartInfo;

        Assert.Equal(StartInfo.VirtualP2MForTools, info.Flags);
        Assert.Equal(text, guest.Read(0, text.Length));
        Assert.Equal(0x40_0000UL, info.ModuleStart);
        Assert.Equal(ramdisk, guest.Read(info.ModuleStart, ramdisk.Length));
        Assert.Equal(0x40_3000UL, info.P2MList);
        Assert.Equal(0UL, info.P2MFrames);
        Assert.Equal(info.P2MList + 4096 * 8, guest.Result.StartInfoAddress);
        AssertLayout(guest, 0);
        AssertFirstVcpu(guest, 0);
        guest.Machine.Audit();
        guest.Destroy();
    }

    [Property(MaxTest = 10)]
    public void EveryLayoutIsConsistent(byte kernelPages, byte ramdiskPages, ushort extra, bool apart, bool unmapped)
    {
        KernelImage image = KernelImage.Linux(Bytes(100, 5), (kernelPages + 2UL) * 4096);
        image.Segments[0] = (0x100000, image.Segments[0].Contents, image.Segments[0].MemorySize);
        image.Replace(ElfNote.Entry, BitConverter.GetBytes(KernelImage.LinuxBase + 0x100000));
        image.Replace(ElfNote.HypercallPage, BitConverter.GetBytes(KernelImage.LinuxBase + 0x101000));
        image.Replace(ElfNote.ModuleStartPfn, [unmapped ? (byte)1 : (byte)0]);
        if (!apart)
        {
            image.Notes.RemoveAll(note => note.Type == ElfNote.InitialP2M);
        }

        byte[] ramdisk = Bytes(ramdiskPages * 4096 + 1, 6);
        ulong pages = 3072UL + (ulong)(extra % 4096);
        BuiltGuest guest = new(image.ToArray(), ramdisk, "x", pages, (int)pages + 200);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        StartInfo info = guest.StartInfo;
        ulong first = unmapped ? info.ModuleStart : (info.ModuleStart - KernelImage.LinuxBase) >> Cpu.PageShift;
        Assert.Equal(ramdisk, guest.ReadPages(first, ramdisk.Length));
        Assert.Equal(apart, info.P2MFrames != 0);
        AssertLayout(guest, KernelImage.LinuxBase);
        guest.Machine.Audit();
        guest.Destroy();
    }

    [Fact]
    public void TablesAreSharedWhereTheP2MListIsCloseToTheKernel()
    {
        KernelImage image = KernelImage.Linux(Bytes(100, 7), 0x2000);
        image.Replace(ElfNote.InitialP2M, BitConverter.GetBytes(KernelImage.LinuxBase - 0x100000));
        BuiltGuest guest = new(image.ToArray(), [], "", 8192, 9000);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        Assert.Equal(8192UL * 8 / 4096 + 2, guest.StartInfo.P2MFrames);
        AssertLayout(guest, KernelImage.LinuxBase);
        guest.Machine.Audit();
        guest.Destroy();
    }

    [Fact]
    public void FragmentedMemoryIsUsedToTheLastFrame()
    {
        // Only single frames are free.
        byte[] kernel = KernelImage.Small(Bytes(100, 8), 0x1000).ToArray();
        _ = new Memory.TestMachine(6000);
        BuiltGuest guest = new(kernel, [], "", 2048, 2100);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        guest.Destroy();
        ulong free = FrameAllocator.FreeFrames;
        BuiltGuest again = new(kernel, [], "", 2048, 2100);
        again.Destroy();
        Assert.Equal(free, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void MachineWithTooFewFramesIsAnError()
    {
        BuiltGuest guest = new(KernelImage.Small(Bytes(100, 9), 0x1000).ToArray(), [], "", 2048, 2000);
        Assert.Equal(BuildStatus.OutOfMemory, guest.Status);
        guest.Destroy();
    }

    [Fact]
    public void EventsAreMaskedOnEveryVcpu()
    {
        BuiltGuest guest = new(KernelImage.Small(Bytes(100, 10), 0x1000).ToArray(), [], "", 2048, 2200);
        Span<byte> page = PhysicalMemory.Frame(guest.Domain.SharedInfoFrame);
        for (int i = 0; i < SharedInfo.LegacyVcpus; i++)
        {
            Assert.Equal(1, page[i * VcpuInfo.Size + VcpuInfo.EventMaskOffset]);
        }
    }

    [Fact]
    public void SymbolsFollowTheKernelThatWantsThem()
    {
        KernelImage image = KernelImage.Linux(Bytes(0x1800, 11), 0x1803);
        image.AddText(ElfNote.BsdSymbolTable, "yes");
        image.Notes.RemoveAll(note => note.Type == ElfNote.HypercallPage);
        image.Symbols = Bytes(24 * 5, 12);
        image.Strings = Bytes(33, 13);
        BuiltGuest guest = new(image.ToArray(), [], "", 8192, 9000);
        Assert.Equal(BuildStatus.Ok, guest.Status);
        ulong start = KernelImage.LinuxBase + 0x1001808;
        uint size = BitConverter.ToUInt32(guest.Read(start, 4));
        Abi.Elf64Header header = System.Runtime.InteropServices.MemoryMarshal.Read<Abi.Elf64Header>(guest.Read(start + 4, 64));
        Assert.Equal(Abi.Elf64.Magic, header.Magic);
        Assert.Equal(3, header.SectionHeaderCount);
        ReadOnlySpan<byte> sections = guest.Read(start + 4 + header.SectionHeaderOffset, 3 * 64);
        Abi.Elf64SectionHeader symbols = System.Runtime.InteropServices.MemoryMarshal.Read<Abi.Elf64SectionHeader>(sections[64..]);
        Abi.Elf64SectionHeader strings = System.Runtime.InteropServices.MemoryMarshal.Read<Abi.Elf64SectionHeader>(sections[128..]);
        Assert.Equal(2U, symbols.Link);
        Assert.Equal(image.Symbols, guest.Read(start + 4 + symbols.Offset, image.Symbols.Length));
        Assert.Equal(image.Strings, guest.Read(start + 4 + strings.Offset, image.Strings.Length));
        Assert.Equal((ulong)size, strings.Offset + strings.Size);
        guest.Destroy();
    }

    // xen.h, "Start-of-day memory layout", rules 2 and 5 to 7.
    private static void AssertLayout(BuiltGuest guest, ulong virtualBase)
    {
        StartInfo info = guest.StartInfo;
        ulong stack = guest.Vcpu.State.Registers.Rsp;
        ulong end = virtualBase;
        ulong readOnly = 0;
        while (guest.Entry(end) is ulong entry && (entry & PageTableEntry.Present) != 0)
        {
            ulong pfn = (end - virtualBase) >> Cpu.PageShift;
            Assert.Equal(guest.Frame(pfn), PageTableEntry.Frame(entry));
            bool isTable = end >= info.PageTableBase && end < info.PageTableBase + (info.PageTableFrames << Cpu.PageShift);
            Assert.Equal(isTable, (entry & PageTableEntry.Writable) == 0);
            readOnly += isTable ? 1UL : 0;
            end += Cpu.PageSize;
        }

        Assert.Equal(info.PageTableFrames, readOnly);
        Assert.Equal(0UL, end & (RegionAlignment - 1));
        Assert.True(end - stack >= PaddingBytes);
        Assert.Equal(info.PageTableBase + (info.PageTableFrames << Cpu.PageShift) + Cpu.PageSize, stack);
        Assert.Equal(guest.Result.RootFrame << Cpu.PageShift, guest.Translate(info.PageTableBase));
        Assert.Equal(info.StoreFrame << Cpu.PageShift, guest.Translate(guest.Result.StartInfoAddress + 0x1000));
        Assert.Equal(info.ConsoleFrame << Cpu.PageShift, guest.Translate(guest.Result.StartInfoAddress + 0x2000));
        Assert.Equal(guest.Result.StartInfoAddress + 0x3000, info.PageTableBase);
        for (ulong pfn = 0; pfn < info.PageCount; pfn++)
        {
            Assert.Equal(pfn, MachineToPhysical.Get(guest.Frame(pfn)));
        }

        Assert.Equal(info.PageCount, guest.Domain.FrameCount);
    }

    private static void AssertFirstVcpu(BuiltGuest guest, ulong entry)
    {
        ref VcpuState state = ref guest.Vcpu.State;
        Assert.Equal(entry, state.Registers.Rip);
        Assert.Equal(guest.Result.StartInfoAddress, state.Registers.Rsi);
        Assert.Equal(Selector.FlatCode64, state.Registers.Cs);
        Assert.Equal(Selector.FlatStack64, state.Registers.Ss);
        Assert.Equal(0x202UL, state.Registers.Rflags);
        Assert.Equal(state.Registers.Rsp, state.KernelStackPointer);
        Assert.Equal(1, state.InKernel);
        Assert.Equal(guest.Result.RootFrame << Cpu.PageShift, state.KernelCr3);
    }
}
