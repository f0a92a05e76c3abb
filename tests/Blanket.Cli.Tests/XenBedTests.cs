using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Qemu;
using Blanket.Lab.StockXen;
using FsCheck;
using FsCheck.Xunit;

namespace Blanket.Cli.Tests;

public sealed class XenBedTests : IDisposable
{
    private const uint First = 1;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static MachineOptions Machine(params PlannedDisk[] disks) => new()
    {
        Kernel = "/k",
        Module = "/m",
        Accelerator = XenBed.Accelerator,
        MemoryMiB = 300,
        Cpus = 2,
        Disks = disks,
        Nics = 2,
    };

    private static PlannedDisk Disk(string target, bool readOnly = false, bool discard = true) =>
        new("serial0", new DiskSpecification(new SourceLine("t", 1), target, DiskFormat.Raw, VirtualDevice.TryParse("xvda")!, readOnly, discard));

    private static string[] Lines(XenDomain domain) => XenDomainConfiguration.Write(domain).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What a splitter makes of pieces: each port's bytes as text.</summary>
    private static Dictionary<uint, string> Split(IEnumerable<byte[]> pieces)
    {
        Dictionary<uint, string> ports = [];
        ConsoleSplitter splitter = new(First);
        foreach (byte[] piece in pieces)
        {
            splitter.Add(piece, (port, bytes) => ports[port] = ports.GetValueOrDefault(port, string.Empty) + Encoding.Latin1.GetString(bytes.Span));
        }

        return ports;
    }

    private static Dictionary<uint, string> Split(params string[] pieces) => Split(pieces.Select(Encoding.Latin1.GetBytes));

    [Fact]
    public void PvhDomainGetsDisksAndNicsInOrder()
    {
        string[] lines = Lines(new XenDomain { Machine = Machine(Disk("/a"), Disk("/b", readOnly: true, discard: false)) });
        Assert.Contains("name = \"blanket\"", lines);
        Assert.Contains("type = \"pvh\"", lines);
        Assert.Contains("memory = 300", lines);
        Assert.Contains("vcpus = 2", lines);
        Assert.Contains("kernel = \"/job/kernel\"", lines);
        Assert.Contains("ramdisk = \"/job/module\"", lines);
        Assert.DoesNotContain(lines, line => line.StartsWith("cmdline", StringComparison.Ordinal));
        Assert.Contains(
            "disk = [ \"format=raw, vdev=xvda, access=rw, backendtype=phy, discard, target=/dev/vda\", "
            + "\"format=raw, vdev=xvdb, access=ro, backendtype=phy, no-discard, target=/dev/vdb\" ]",
            lines);
        Assert.Contains("vif = [ \"mac=00:16:3e:00:00:00, bridge=nic0, script=vif\", \"mac=00:16:3e:00:00:01, bridge=nic1, script=vif\" ]", lines);
        Assert.Contains("on_crash = \"destroy\"", lines);
        Assert.DoesNotContain(lines, line => line.StartsWith("tsc_mode", StringComparison.Ordinal));
    }

    [Fact]
    public void ADomainMayReadTheTscItself() =>
        Assert.Contains("tsc_mode = \"native\"", Lines(new XenDomain { Machine = Machine(), HasNativeTsc = true }));

    /// <summary>xvda to xvdd would be emulated disks of an HVM domain, too.</summary>
    [Fact]
    public void HvmDomainBootsFromHdaAndHasGuestsDisksBehindTheEmulatedOnes()
    {
        string[] lines = Lines(new XenDomain { Machine = Machine(Disk("/a")) with { BootDisk = "/boot" }, Type = XenDomainType.Hvm });
        Assert.Contains("type = \"hvm\"", lines);
        Assert.DoesNotContain(lines, line => line.StartsWith("kernel", StringComparison.Ordinal));
        string disks = Assert.Single(lines, line => line.StartsWith("disk", StringComparison.Ordinal));
        Assert.Contains("vdev=hda, access=rw, backendtype=phy, no-discard, target=/dev/vdb", disks, StringComparison.Ordinal);
        Assert.Contains("vdev=xvde, access=rw, backendtype=phy, discard, target=/dev/vda", disks, StringComparison.Ordinal);
    }

    [Fact]
    public void DisksOfAnHvmDomainMayBeEmulated()
    {
        string[] lines = Lines(new XenDomain { Machine = Machine(Disk("/a")) with { BootDisk = "/boot" }, Type = XenDomainType.Hvm, HasEmulatedDisks = true });
        string disks = Assert.Single(lines, line => line.StartsWith("disk", StringComparison.Ordinal));
        Assert.Contains("vdev=hda, access=rw, backendtype=phy, no-discard, target=/dev/vdb", disks, StringComparison.Ordinal);
        Assert.Contains("vdev=hdb, access=rw, backendtype=phy, discard, target=/dev/vda", disks, StringComparison.Ordinal);
    }

    [Fact]
    public void CommandLineMayHaveOneKindOfQuotationMarks()
    {
        MachineOptions machine = Machine();
        Assert.Contains("cmdline = 'a=\"b c\"'", Lines(new XenDomain { Machine = machine with { CommandLine = "a=\"b c\"" } }));
        Assert.Throws<InputException>(() => Lines(new XenDomain { Machine = machine with { CommandLine = "a=\"b\" c='d'" } }));
        Assert.Throws<InputException>(() => Lines(new XenDomain { Machine = machine with { CommandLine = "a\nname=\"x\"" } }));
    }

    [Theory]
    [InlineData(0, "a")]
    [InlineData(25, "z")]
    [InlineData(26, "aa")]
    [InlineData(701, "zz")]
    [InlineData(702, "aaa")]
    public void NamesDisksAsLinuxDoes(int index, string letters) => Assert.Equal(letters, XenDomainConfiguration.DiskLetters(index));

    [Fact]
    public void DiskNamesAreTheirOrder()
    {
        uint[] numbers = [.. Enumerable.Range(0, 800).Select(index => VirtualDevice.TryParse("xvd" + XenDomainConfiguration.DiskLetters(index))!.Number)];
        Assert.Equal(numbers.Order(), numbers);
    }

    [Fact]
    public void LineBelongsToTheFirstPortUntilAnotherIsNamed() =>
        Assert.Equal(
            new Dictionary<uint, string> { [1] = "log\nmore", [2] = "guest", [12345] = "x" },
            Split("log\n\u001e2\u001fgu", "est\u001e", "1", "2345", "\u001fx\u001e1\u001fmore"));

    [Theory]
    [InlineData("\u001e\u001f")]
    [InlineData("\u001e123456\u001f")]
    [InlineData("\u001e2x\u001f")]
    [InlineData("\u001e-1\u001f")]
    public void WrongSequenceAndWhatFollowsIsDropped(string sequence) =>
        Assert.Equal(new Dictionary<uint, string> { [1] = "ab" }, Split($"a{sequence}dropped\u001e1\u001fb"));

    [Fact]
    public void SequenceInsideASequenceBeginsAnew() =>
        Assert.Equal(new Dictionary<uint, string> { [3] = "x" }, Split("\u001e2\u001e3\u001fx"));

    /// <summary>Whatever a guest writes comes out at its own port, whole, in pieces of any size.</summary>
    [Property]
    public bool FramedBytesComeToTheirPort(byte[] bytes, PositiveInt size)
    {
        const uint port = 7;
        Dictionary<uint, string> ports = Split(ConsoleLine.Frame(port, bytes).Chunk(size.Get));
        string expected = Encoding.Latin1.GetString(bytes).Replace('\u001e', '?').Replace('\u001f', '?');
        return expected.Length == 0 ? ports.Count == 0 : ports.Count == 1 && ports[port] == expected;
    }

    [Property]
    public bool AnyLineIsHarmless(byte[][] pieces) => Split(pieces.Select(piece => piece ?? [])).Keys.All(port => port < 100_000);

    [Fact]
    public async Task SharedConsoleGivesEachPortAStream()
    {
        using MemoryStream line = new("boot\n\u001e2\u001fhello\u001e9\u001fnobody"u8.ToArray());
        SharedConsole console = new(line, [1, 2], First);
        await console.Finished;
        Assert.Equal("boot\n", await new StreamReader(console.Streams[1]).ReadToEndAsync());
        Assert.Equal("hello", await new StreamReader(console.Streams[2]).ReadToEndAsync());
    }

    [Fact]
    public async Task KeysNameTheirPort()
    {
        using MemoryStream line = new();
        SharedConsole console = new(line, [1, 2], First);
        await console.Streams[2].WriteAsync("ls\n\u001e"u8.ToArray());
        Assert.Equal("\u001e2\u001fls\n?", Encoding.ASCII.GetString(line.ToArray()));
    }

    /// <summary>A saved state is for a machine with the same devices, whatever is on its disks and wherever they are.</summary>
    [Fact]
    public void SavedStateIsForTheSameDevices()
    {
        string qemu = _directory.File("qemu", [1]);
        MachineOptions machine = Machine(Disk(_directory.File("a", new byte[512]))) with { SharedDirectory = "/job1" };
        string key = SavedMachine.Key(machine, qemu);
        Assert.Equal(key, SavedMachine.Key(
            Machine(Disk(_directory.File("b", [.. Enumerable.Repeat((byte)1, 512)]))) with { SharedDirectory = "/job2", Forwards = [PortForward.TryParse("2222:22")!] }, qemu));
        Assert.NotEqual(key, SavedMachine.Key(machine with { Disks = [Disk(_directory.File("c", new byte[1024]))] }, qemu));
        Assert.NotEqual(key, SavedMachine.Key(machine with { Disks = [Disk(_directory.File("d", new byte[512]), readOnly: true)] }, qemu));
        Assert.NotEqual(key, SavedMachine.Key(machine with { Nics = 1 }, qemu));
        Assert.NotEqual(key, SavedMachine.Key(machine with { MemoryMiB = 301 }, qemu));
        Assert.NotEqual(key, SavedMachine.Key(machine, _directory.File("newer", [1, 2])));
    }
}
