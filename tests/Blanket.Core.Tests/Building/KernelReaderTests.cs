using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using FsCheck;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Building;

public class KernelReaderTests
{
    private static KernelImage Image() => KernelImage.Linux(new byte[0x1800], 0x4000);

    private static BuildStatus Read(byte[] file, out KernelParameters parameters)
    {
        BuildStatus status = ElfImage.Open(file, out ElfImage image);
        parameters = default;
        return status == BuildStatus.Ok ? KernelReader.Read(image, out parameters) : status;
    }

    private static BuildStatus Read(KernelImage image) => Read(image.ToArray(), out _);

    [Fact]
    public void NotesAreRead()
    {
        Assert.Equal(BuildStatus.Ok, Read(Image().ToArray(), out KernelParameters parameters));
        Assert.Equal(KernelImage.LinuxBase, parameters.VirtualBase);
        Assert.Equal(KernelImage.LinuxBase + 0x1000000, parameters.KernelStart);
        Assert.Equal(KernelImage.LinuxBase + 0x1004000, parameters.KernelEnd);
        Assert.Equal(KernelImage.LinuxBase + 0x1001000, parameters.HypercallPage);
        Assert.Equal(0x8000000000UL, parameters.InitialP2M);
        Assert.True(parameters.TakesUnmappedRamdisk);
        Assert.Equal(0x8811U, parameters.SupportedFeatures);
        Assert.Equal(1U, parameters.RequiredFeatures);
    }

    [Fact]
    public void NotesInASectionAreReadWhenNoSegmentHasThem()
    {
        KernelImage image = Image();
        image.NotesInSectionOnly = true;
        Assert.Equal(BuildStatus.Ok, Read(image));
    }

    [Fact]
    public void LegacySectionIsReadWhenThereAreNoNotes()
    {
        KernelImage image = Image();
        image.Notes.Clear();
        image.LegacySection = "GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,"
            + "ELF_PADDR_OFFSET=0x0,VIRT_ENTRY=0xffffffff81000000,HYPERCALL_PAGE=0x1001,FEATURES=writable_page_tables|!pae_pgdir_above_4gb";
        Assert.Equal(BuildStatus.Ok, Read(image.ToArray(), out KernelParameters parameters));
        Assert.Equal(KernelImage.LinuxBase + 0x1001000, parameters.HypercallPage);
        Assert.Equal(KernelImage.LinuxBase + 0x1000000, parameters.Entry);
        Assert.Equal((1U << Feature.WritablePageTables) | (1U << Feature.PaePgdirAbove4Gb), parameters.SupportedFeatures);
        Assert.Equal(1U << Feature.PaePgdirAbove4Gb, parameters.RequiredFeatures);
    }

    [Fact]
    public void LegacyPhysicalOffsetDefaultsToTheVirtualBase()
    {
        KernelImage image = new() { LegacySection = "LOADER=generic,XEN_VER=xen-3.0,VIRT_BASE=0100000" };
        image.Segments.Add((0x8000, new byte[100], 0x2000));
        image.Entry = 0x8010;
        Assert.Equal(BuildStatus.Ok, Read(image.ToArray(), out KernelParameters parameters));
        Assert.Equal(0x8000UL, parameters.VirtualBase);
        Assert.Equal(0x8000UL, parameters.KernelStart);
        Assert.Equal(0x8010UL, parameters.Entry);
    }

    public static TheoryData<string, BuildStatus> Refusals => new()
    {
        { "no notes", BuildStatus.NotXenKernel },
        { "loader", BuildStatus.WrongLoader },
        { "version", BuildStatus.WrongXenVersion },
        { "dom0", BuildStatus.RequiredFeature },
        { "unknown feature", BuildStatus.RequiredFeature },
        { "entry", BuildStatus.BadAddresses },
        { "offset without base", BuildStatus.BadAddresses },
        { "hypervisor's base", BuildStatus.BadAddresses },
        { "unaligned base", BuildStatus.BadAddresses },
        { "hole", BuildStatus.BadAddresses },
        { "hypercall page", BuildStatus.BadHypercallPage },
        { "no segment", BuildStatus.NothingToLoad },
        { "segment outside", BuildStatus.BrokenElf },
        { "segment wraps", BuildStatus.BrokenElf },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void BadKernelsAreRefusedWithTheReason(string what, BuildStatus expected)
    {
        KernelImage image = Image();
        switch (what)
        {
            case "no notes":
                image.Notes.Clear();
                break;
            case "loader":
                image.Replace(ElfNote.Loader, "other\0"u8.ToArray());
                image.Replace(ElfNote.GuestOs, "NetBSD\0"u8.ToArray());
                break;
            case "version":
                image.Replace(ElfNote.XenVersion, "xen-2.0\0"u8.ToArray());
                break;
            case "dom0":
                image.Replace(ElfNote.Features, "!dom0\0"u8.ToArray());
                break;
            case "unknown feature":
                image.Replace(ElfNote.Features, "writable_page_tables|!teleportation\0"u8.ToArray());
                break;
            case "entry":
                image.Replace(ElfNote.Entry, BitConverter.GetBytes(0x1000UL));
                break;
            case "offset without base":
                image.Notes.RemoveAll(note => note.Type == ElfNote.VirtualBase);
                image.AddNumber(ElfNote.PhysicalOffset, 0x1000);
                break;
            case "hypervisor's base":
                image.Replace(ElfNote.VirtualBase, BitConverter.GetBytes(0xffff820000000000));
                image.Replace(ElfNote.Entry, BitConverter.GetBytes(0xffff820001000000));
                break;
            case "unaligned base":
                image.Replace(ElfNote.VirtualBase, BitConverter.GetBytes(KernelImage.LinuxBase + 8));
                break;
            case "hole":
                image.AddNumber(ElfNote.HypervisorStartLow, 0xffff900000000000);
                break;
            case "hypercall page":
                image.Replace(ElfNote.HypercallPage, BitConverter.GetBytes(KernelImage.LinuxBase + 0x2000000));
                break;
            case "no segment":
                image.Segments.Clear();
                break;
            case "segment outside":
                image.Segments[0] = (0x1000000, new byte[0x100], 0x10);
                break;
            default:
                image.Segments[0] = (ulong.MaxValue - 0x100, new byte[0x100], 0x1000);
                break;
        }

        Assert.Equal(expected, Read(image));
        Assert.True(BuildStatusText.Describe(expected).Length > 10);
    }

    [Property(MaxTest = 2000)]
    public void DamagedFilesNeverBreakTheReader(DoNotSize<int> seed)
    {
        byte[] file = Image().ToArray();
        Random random = new(seed.Item);
        for (int i = random.Next(1, 6); i > 0; i--)
        {
            // Headers and notes are where the numbers are.
            int at = random.Next(2) == 0 ? random.Next(0, 200) : random.Next(file.Length - 900, file.Length);
            file[at] = random.Next(3) == 0 ? (byte)0xff : (byte)random.Next(256);
        }

        int length = random.Next(4) == 0 ? random.Next(file.Length) : file.Length;
        BuildRequest request = new() { Kernel = file.AsSpan(0, length), Pages = (ulong)random.Next(1, 100_000) };
        BuildStatus status = DomainBuilder.CheckRequest(request);
        Assert.InRange(status, BuildStatus.Ok, BuildStatus.MemoryTooSmall);
    }

    [Fact]
    public void OtherFilesAreRefused()
    {
        Assert.Equal(BuildStatus.NotElf64, Read([], out _));
        Assert.Equal(BuildStatus.NotElf64, Read(Encoding.ASCII.GetBytes(new string('x', 4096)), out _));
        byte[] file = Image().ToArray();
        file[4] = 1;
        Assert.Equal(BuildStatus.NotElf64, Read(file, out _));
        byte[] cut = Image().ToArray()[..100];
        Assert.Equal(BuildStatus.BrokenElf, Read(cut, out _));
    }

    [Fact]
    public void RequestsThatCannotFitAreRefused()
    {
        byte[] kernel = Image().ToArray();
        BuildRequest request = new() { Kernel = kernel, Pages = 1024 };
        Assert.Equal(BuildStatus.MemoryTooSmall, DomainBuilder.CheckRequest(request));
        request.Pages = (1UL << 27) + 1;
        Assert.Equal(BuildStatus.MemoryTooLarge, DomainBuilder.CheckRequest(request));
        request.Pages = 1UL << 27;
        Assert.Equal(BuildStatus.Ok, DomainBuilder.CheckRequest(request));
        request.Ramdisk = new byte[1 << 24];
        request.Pages = 8192;
        Assert.Equal(BuildStatus.MemoryTooSmall, DomainBuilder.CheckRequest(request));
        request.Pages = 16384;
        Assert.Equal(BuildStatus.Ok, DomainBuilder.CheckRequest(request));
        request.CommandLine = new byte[1024];
        Assert.Equal(BuildStatus.CommandLineTooLong, DomainBuilder.CheckRequest(request));
    }

    [Fact]
    public void P2MListOutsideTheGuestsPartIsRefused()
    {
        KernelImage image = Image();
        image.Replace(ElfNote.InitialP2M, BitConverter.GetBytes(0xffff87fffffff000));
        BuildRequest request = new() { Kernel = image.ToArray(), Pages = 16384 };
        Assert.Equal(BuildStatus.BadP2MAddress, DomainBuilder.CheckRequest(request));
    }

    [Fact]
    public void NumbersOfOtherSizesAreZero()
    {
        List<byte> odd = [1, 2, 3];
        KernelImage image = Image();
        image.Replace(ElfNote.ModuleStartPfn, [.. odd]);
        Assert.Equal(BuildStatus.Ok, Read(image.ToArray(), out KernelParameters parameters));
        Assert.False(parameters.TakesUnmappedRamdisk);
    }
}
