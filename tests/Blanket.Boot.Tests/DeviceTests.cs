using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Qemu;

namespace Blanket.Boot.Tests;

/// <summary>What L0's devices do while a guest runs, as the guest sees it.</summary>
public sealed class DeviceTests
{
    private const int SectorSize = 512;
    private const int BadWriteSector = 2048;
    private const int BadReadSector = 4096;

    /// <summary>What <c>disk_limit</c> allows is what the guest gets, within 5 %.</summary>
    [Fact]
    public async Task LimitsOfDisksAreKept()
    {
        BootDirectory directory = BootDirectory.For(nameof(LimitsOfDisksAreKept));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(
            directory,
            "limits",
            "limits.sh",
            TestGuest.Disks(directory.CreateDisk("bytes.raw", 8), directory.CreateDisk("requests.raw", 8)),
            "disk_limit = [ \"vdev=xvda, rate=2MB/s\", \"vdev=xvdb, iops=100\" ]");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(0);
        string log = File.ReadAllText(directory.PathOf("limits.log"));
        RequireRate("read", 2_000_000);
        RequireRate("wrote", 2_000_000);
        RequireRate("made", 100);

        void RequireRate(string what, double expected)
        {
            Match line = Regex.Match(log, $"limits: {what} ([0-9]+) ");
            Assert.True(line.Success, $"no line 'limits: {what}' in {directory.PathOf("limits.log")}");
            Assert.InRange(double.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture), expected * 0.95, expected * 1.05);
        }
    }

    /// <summary>A disk that grows, a qcow2 image, a read-only disk, and one that fails requests (QEMU's blkdebug).</summary>
    [Fact]
    public async Task GuestSeesWhatHappensToItsDisks()
    {
        const int sizeMiB = 4;
        BootDirectory directory = BootDirectory.For(nameof(GuestSeesWhatHappensToItsDisks));
        TestGuest guest = await TestGuest.CreateAsync();
        string growing = directory.CreateDisk("growing.raw", sizeMiB);
        string qcow2 = directory.PathOf("image.qcow2");
        await Tool.RequireAsync("qemu-img", ["create", "-q", "-f", "qcow2", qcow2, "16M"]);
        string readOnly = directory.CreateDisk("read-only.raw", sizeMiB);
        WriteSector(readOnly, "read-only\n");
        string failing = directory.CreateDisk("failing.raw", sizeMiB);
        GuestMachine machine = new(directory) { Configure = options => WithFailingDisk(options, failing) };
        machine.When("resize", () => machine.ExecuteAsync("block_resize", new JsonObject { ["node-name"] = "disk.guest0.disk0", ["size"] = 2 * sizeMiB << 20 }));
        await machine.RequirePoweroffAsync(guest.WriteWithInit(directory, "disks", "disks.sh", $"""
            disk = [
                "format=raw, vdev=xvda, access=rw, target={growing}", "format=qcow2, vdev=xvdb, access=rw, target={qcow2}",
                "format=raw, vdev=xvdc, access=ro, target={readOnly}", "format=raw, vdev=xvdd, access=rw, target={failing}",
            ]
            """));
        machine.RequireLine("disks", "disks: errors ok");
        await Tool.RequireAsync("qemu-img", ["check", "-q", qcow2]);
        Assert.Equal("new\n"u8, ReadSector(growing, (2 * sizeMiB << 20) / SectorSize - 1).AsSpan(0, 4));
    }

    /// <summary>Two NICs; a limit of the packets that L0 takes; a link that goes down and up.</summary>
    [Fact]
    public async Task GuestSeesWhatHappensToItsNics()
    {
        BootDirectory directory = BootDirectory.For(nameof(GuestSeesWhatHappensToItsNics));
        TestGuest guest = await TestGuest.CreateAsync();
        GuestMachine machine = new(directory)
        {
            Configure = static options => options with { ExtraArguments = [.. options.ExtraArguments, "-set", "device.nic0.host_mtu=1400"] },
        };
        machine.When("link-down", () => SetLinkAsync(machine, isUp: false));
        machine.When("link-up", () => SetLinkAsync(machine, isUp: true));
        await machine.RequirePoweroffAsync(guest.WriteWithInit(
            directory, "nics", "nics.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "vif = [ \"bridge=one\", \"bridge=two\" ]"));
        machine.RequireLine("nics", "nics: mtu ok");
        machine.RequireLine("nics", "nics: link ok");
    }

    private static Task SetLinkAsync(GuestMachine machine, bool isUp) =>
        machine.ExecuteAsync("set_link", new JsonObject { ["name"] = "nic0", ["up"] = isUp });

    /// <summary>Puts blkdebug before the last disk's image.</summary>
    private static MachineOptions WithFailingDisk(MachineOptions options, string image)
    {
        JsonObject node = new()
        {
            ["driver"] = "blkdebug",
            ["node-name"] = "failing",
            ["image"] = new JsonObject { ["driver"] = "file", ["filename"] = image },
            ["inject-error"] = new JsonArray(Failure("write", BadWriteSector), Failure("read", BadReadSector)),
        };
        return options with
        {
            Disks = [.. options.Disks.SkipLast(1)],
            ExtraArguments = ["-blockdev", node.ToJsonString(), "-device", $"virtio-blk-pci,drive=failing,serial={options.Disks[^1].Serial}"],
        };
    }

    private static JsonObject Failure(string type, int sector) => new() { ["event"] = "none", ["iotype"] = type, ["sector"] = sector, ["errno"] = 5 };

    private static void WriteSector(string image, string text)
    {
        using FileStream stream = File.OpenWrite(image);
        stream.Write(Encoding.ASCII.GetBytes(text));
    }

    private static byte[] ReadSector(string image, int sector)
    {
        using FileStream stream = File.OpenRead(image);
        stream.Position = (long)sector * SectorSize;
        byte[] content = new byte[SectorSize];
        stream.ReadExactly(content);
        return content;
    }
}
