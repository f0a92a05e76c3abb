using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using Blanket.Abi;
using Blanket.Lab.Configuration;

namespace Blanket.Cli.Tests;

public sealed class GuestConfigurationTests : IDisposable
{
    private const string Minimal = "name = 'g'\nmemory = 128\nkernel = 'k'\n";

    private readonly TemporaryDirectory _directory = new();

    public GuestConfigurationTests()
    {
        _directory.File("k");
        _directory.File("r");
        _directory.File("a.raw");
        _directory.File("b.qcow2");
        _directory.File("with,comma.raw");
    }

    public void Dispose() => _directory.Dispose();

    private (GuestConfiguration Guest, IReadOnlyList<string> Warnings) Read(string text) => GuestConfigurationReader.Read("g.cfg", text, _directory.Path);

    private GuestConfiguration ReadQuietly(string text)
    {
        (GuestConfiguration guest, IReadOnlyList<string> warnings) = Read(text);
        Assert.Empty(warnings);
        return guest;
    }

    private string ErrorOf(string text) => Assert.Throws<InputException>(() => Read(text)).Message;

    private DiskSpecification Disk(string specification) => Assert.Single(ReadQuietly(Minimal + $"disk = [ '{specification}' ]").Disks);

    private VifSpecification Vif(string specification) => Assert.Single(ReadQuietly(Minimal + $"vif = [ '{specification}' ]").Vifs);

    [Fact]
    public void ReadsEverything()
    {
        GuestConfiguration guest = ReadQuietly("""
            name = "web-1"
            uuid = "01234567-89ab-cdef-0123-456789abcdef"
            type = "pv"
            memory = 256
            memory_min = 96
            maxmem = 512
            vcpus = 2
            maxvcpus = 4
            kernel = "k"
            ramdisk = "r"
            root = "/dev/xvda1 ro"
            extra = "console=hvc0"
            on_poweroff = "preserve"
            on_reboot = "rename-restart"
            on_crash = "coredump-restart"
            on_watchdog = "restart"
            cpu_weight = 512
            cap = 150
            cpus = "0-3,^1"
            disk = [ "a.raw,raw,xvda,rw", "format=qcow2,vdev=xvdb,access=ro,target=b.qcow2" ]
            disk_limit = [ "vdev=xvdb, rate=20MB/s, iops=500" ]
            vif = [ "mac=00:16:3e:01:02:03,bridge=lan0,rate=10Mb/s@50ms,ip=10.0.0.2 2001:db8::2,mtu=9000", "" ]
            """);
        Assert.Equal("web-1", guest.Name);
        Assert.Equal(new Guid("01234567-89ab-cdef-0123-456789abcdef"), guest.Uuid);
        Assert.Equal((256, 512, 96), (guest.MemoryMiB, guest.MaximumMemoryMiB, guest.MinimumMemoryMiB));
        Assert.Equal((2, 4), (guest.Vcpus, guest.MaximumVcpus));
        Assert.Equal(Path.Combine(_directory.Path, "k"), guest.Kernel);
        Assert.Equal(Path.Combine(_directory.Path, "r"), guest.Ramdisk);
        Assert.Equal("root=/dev/xvda1 ro console=hvc0", guest.CommandLine);
        Assert.Equal(
            [BootBundleAction.Preserve, BootBundleAction.RenameRestart, BootBundleAction.CoredumpRestart, BootBundleAction.Restart],
            [guest.OnPoweroff, guest.OnReboot, guest.OnCrash, guest.OnWatchdog]);
        Assert.Equal((512u, 150u), (guest.Weight, guest.Cap));
        Assert.Equal([0, 2, 3], Assert.Single(guest.Affinities).Cpus);
        Assert.Equal(["xvda", "xvdb"], guest.Disks.Select(disk => disk.Device.Name));
        Assert.Equal([false, true], guest.Disks.Select(disk => disk.ReadOnly));
        Assert.Equal([default, new DiskLimit(20_000_000, 500)], guest.Disks.Select(disk => disk.Limit));
        VifSpecification vif = guest.Vifs[0];
        Assert.Equal(("00:16:3e:01:02:03", "lan0", (ushort?)9000), (vif.Mac.ToString(), vif.Bridge, vif.Mtu));
        Assert.Equal(new VifRate(62_500, 50_000), vif.Rate);
        Assert.Equal([IPAddress.Parse("10.0.0.2"), IPAddress.Parse("2001:db8::2")], vif.Addresses.Select(address => address.BaseAddress));
        Assert.Equal("xenbr0", guest.Vifs[1].Bridge);
        Assert.True(guest.Vifs[1].Mac.IsUnicast);
    }

    [Fact]
    public void HasDefaultsOfXl()
    {
        GuestConfiguration guest = ReadQuietly(Minimal);
        Assert.Equal((1, 1, 128L, 128L), (guest.Vcpus, guest.MaximumVcpus, guest.MaximumMemoryMiB, guest.MinimumMemoryMiB));
        Assert.Equal(
            [BootBundleAction.Destroy, BootBundleAction.Restart, BootBundleAction.Destroy, BootBundleAction.Destroy],
            [guest.OnPoweroff, guest.OnReboot, guest.OnCrash, guest.OnWatchdog]);
        Assert.Equal((256u, 0u, ""), (guest.Weight, guest.Cap, guest.CommandLine));
        Assert.Empty(guest.Affinities);
    }

    [Fact]
    public void IdentityStaysTheSame()
    {
        string text = Minimal + "vif = [ '', '' ]";
        GuestConfiguration first = ReadQuietly(text);
        GuestConfiguration second = ReadQuietly(text);
        Assert.Equal(first.Uuid, second.Uuid);
        Assert.Equal(first.Vifs.Select(vif => vif.Mac), second.Vifs.Select(vif => vif.Mac));
        Assert.NotEqual(first.Vifs[0].Mac, first.Vifs[1].Mac);
        Assert.StartsWith("00:16:3e:", first.Vifs[0].Mac.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("memory = 1\nkernel = 'k'", "g.cfg:1: memory = 1, expected a number from 4 to 16777216", true)]
    [InlineData("name = 'a/b'\n", "g.cfg:1: name = \"a/b\", expected 1 to 63 letters", false)]
    [InlineData("name = 5", "g.cfg:1: name is a number, expected name = \"...\"", false)]
    [InlineData("name = 'g'\ntype = \"hvm\"", "g.cfg:2: type = \"hvm\", expected type = \"pv\"", false)]
    [InlineData("name = 'g'\ntype = \"pvh\"", "g.cfg:2: type = \"pvh\", expected type = \"pv\"", false)]
    [InlineData("builder = 'hvm'", "g.cfg:1: builder = \"hvm\", expected type = \"pv\"", false)]
    [InlineData("name = 'g'\nbootloader = 'pygrub'", "g.cfg:2: bootloader = \"pygrub\" would run outside the guest, expected kernel = \"PATH\" of PV-GRUB", false)]
    [InlineData("name = 'g'\nmemory = 128\nkernel = 'nope'", "g.cfg:3: kernel = \"nope\": no such file, expected a file at ", false)]
    [InlineData("name = 'g'\nmemory = 128", "g.cfg:1: kernel is missing, expected kernel = \"PATH\"", false)]
    [InlineData("name = 'g'\nkernel = 'k'", "g.cfg:1: memory is missing, expected memory = MIB", false)]
    [InlineData("memory = 128\nmemory_min = 129", "g.cfg:2: memory_min = 129, expected at most memory = 128", true)]
    [InlineData("memory = 128\nmemory_min = 2", "g.cfg:2: memory_min = 2, expected a number from 4 to 16777216", true)]
    [InlineData("memory = 128\nmaxmem = 64", "g.cfg:2: maxmem = 64, expected at least memory = 128", true)]
    [InlineData("vcpus = 200", "g.cfg:1: vcpus = 200, expected a number from 1 to 128", true)]
    [InlineData("vcpus = 4\nmaxvcpus = 2", "g.cfg:2: maxvcpus = 2, expected at least vcpus = 4", true)]
    [InlineData("on_crash = 'explode'", "g.cfg:1: on_crash = \"explode\", expected destroy, restart", true)]
    [InlineData("uuid = 'x'", "g.cfg:1: uuid = \"x\", expected 32 hexadecimal digits", true)]
    [InlineData("cpus = 'node:1'", "g.cfg:1: cpus 'node:1' is no CPU list", true)]
    [InlineData("cpus = [ '0', '1' ]", "g.cfg:1: cpus has more entries than the guest has virtual CPUs", true)]
    [InlineData("disk = 'a.raw,raw,xvda,rw'", "g.cfg:1: disk is a string, expected disk = [ \"...\", ... ]", true)]
    [InlineData("disk = [ 'a.raw,raw,xvda,rw',\n 'b.qcow2,qcow2,xvda,rw' ]", "g.cfg:2: disk 'b.qcow2,qcow2,xvda,rw': xvda is the device of the disk on line 1 already", true)]
    [InlineData("disk = [ 'none.raw,raw,xvda,rw' ]", "g.cfg:1: disk 'none.raw,raw,xvda,rw': no such file, expected an image file", true)]
    [InlineData("disk = [ 'a.raw,raw' ]", "g.cfg:1: disk 'a.raw,raw': the virtual device is missing, expected for instance vdev=xvda", true)]
    [InlineData("disk = [ 'a.raw,raw,nvme0' ]", "g.cfg:1: disk 'a.raw,raw,nvme0': 'nvme0' is no virtual device", true)]
    [InlineData("disk = [ 'a.raw,tar,xvda' ]", "g.cfg:1: disk 'a.raw,tar,xvda': format 'tar' is unknown, expected raw, qcow, qcow2, vhd or qed", true)]
    [InlineData("disk = [ 'a.raw,raw,xvda,maybe' ]", "g.cfg:1: disk 'a.raw,raw,xvda,maybe': access 'maybe' is unknown, expected ro, r, rw or w", true)]
    [InlineData("disk = [ 'a.raw,raw,xvda,rw,more' ]", "g.cfg:1: disk 'a.raw,raw,xvda,rw,more': 'more' is one value too many", true)]
    [InlineData("disk = [ 'vdev=xvda,vdev=xvdb,target=a.raw' ]", "g.cfg:1: disk 'vdev=xvda,vdev=xvdb,target=a.raw': vdev is given twice", true)]
    [InlineData("disk = [ 'vdev=xvda,colour=red,target=a.raw' ]", "g.cfg:1: disk 'vdev=xvda,colour=red,target=a.raw': unknown parameter colour=red", true)]
    [InlineData("disk = [ 'nbd:server:1,xvda,w' ]", "g.cfg:1: disk 'nbd:server:1,xvda,w': 'nbd:' needs a block script", true)]
    [InlineData("disk = [ 'backend=driver,vdev=xvda,target=a.raw' ]", "g.cfg:1: disk 'backend=driver,vdev=xvda,target=a.raw': backend=driver: there are no driver domains", true)]
    [InlineData("disk = [ 'vdev=xvda' ]", "g.cfg:1: disk 'vdev=xvda': the target is missing", true)]
    [InlineData("vif = [ 'mac=01:00:00:00:00:00' ]", "g.cfg:1: vif 'mac=01:00:00:00:00:00': mac=01:00:00:00:00:00 is a group or zero address", true)]
    [InlineData("vif = [ 'mac=1:2:3' ]", "g.cfg:1: vif 'mac=1:2:3': mac=1:2:3 is no MAC address", true)]
    [InlineData("disk_limit = [ 'vdev=xvda, rate=1MB/s' ]", "g.cfg:1: disk_limit 'vdev=xvda, rate=1MB/s': xvda is no disk of the guest", true)]
    [InlineData("disk_limit = [ 'vdev=xvda, rate=1MB/s@5ms' ]", "g.cfg:1: disk_limit 'vdev=xvda, rate=1MB/s@5ms': rate=1MB/s@5ms is no rate", true)]
    [InlineData("disk_limit = [ 'vdev=xvda, iops=0' ]", "g.cfg:1: disk_limit 'vdev=xvda, iops=0': iops=0, expected a number from 1 to", true)]
    [InlineData("disk_limit = [ 'vdev=xvda' ]", "g.cfg:1: disk_limit 'vdev=xvda': a disk and a rate or iops are needed", true)]
    [InlineData("disk_limit = [ 'iops=1' ]", "g.cfg:1: disk_limit 'iops=1': a disk and a rate or iops are needed", true)]
    [InlineData("disk_limit = [ 'vdev=xvda, speed=1' ]", "g.cfg:1: disk_limit 'vdev=xvda, speed=1': 'speed=1' is unknown or given twice", true)]
    [InlineData("vif = [ 'rate=fast' ]", "g.cfg:1: vif 'rate=fast': rate=fast is no rate", true)]
    [InlineData("vif = [ 'bridge=a b' ]", "g.cfg:1: vif 'bridge=a b': bridge=a b is no bridge name", true)]
    [InlineData("vif = [ 'ip=10.0.0.300' ]", "g.cfg:1: vif 'ip=10.0.0.300': '10.0.0.300' is no IP address", true)]
    [InlineData("vif = [ 'mtu=10' ]", "g.cfg:1: vif 'mtu=10': mtu=10, expected a number from 68 to 65521", true)]
    [InlineData("vif = [ 'speed=1' ]", "g.cfg:1: vif 'speed=1': unknown parameter 'speed'", true)]
    [InlineData("vif = [ 'mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:01' ]", "g.cfg:1: vif 'mac=00:16:3e:00:00:01': 00:16:3e:00:00:01 is the address of another vif", true)]
    [InlineData("vif = [ 'devid=1', '' ]", "g.cfg:1: vif '': device 1 exists already", true)]
    public void SaysWhatIsWrongAndWhere(string text, string expected, bool withRest)
    {
        string rest = string.Concat(Minimal.Split('\n').Where(line => withRest && line.Length > 0 && !text.Contains(line.Split(' ')[0], StringComparison.Ordinal)).Select(line => "\n" + line));
        Assert.StartsWith(expected, ErrorOf(text + rest), StringComparison.Ordinal);
    }

    [Fact]
    public void RefusesTooLongCommandLine()
    {
        string text = Minimal + $"extra = '{new string('x', 1024)}'";
        Assert.Equal("g.cfg:4: the kernel command line has 1024 bytes, expected at most 1023 and no NUL", ErrorOf(text));
    }

    [Fact]
    public void WarnsOncePerKeyThatHasNoEffect()
    {
        (_, IReadOnlyList<string> warnings) = Read(Minimal + """
            bios = "ovmf"
            pool = "p"
            pci = [ "01:00.0" ]
            colour = "red"
            disk = [ "a.raw,raw,xvda,rw,backendtype=phy" ]
            vif = [ "model=e1000" ]
            """);
        Assert.Equal(
            [
                "g.cfg:8: disk parameter backendtype=phy has no effect: every disk is served by Blanket's own backend",
                "g.cfg:9: vif parameter 'model' has no effect on Blanket",
                "g.cfg:4: key 'bios' is for HVM guests",
                "g.cfg:5: key 'pool' is for xl's own toolstack",
                "g.cfg:6: key 'pci' is not supported; the guest starts without it",
                "g.cfg:7: unknown key 'colour' is ignored",
            ],
            warnings);
    }

    [Fact]
    public void CommandLineReplacesRootAndExtra()
    {
        (GuestConfiguration guest, IReadOnlyList<string> warnings) = Read(Minimal + "cmdline = 'a'\nextra = 'b'");
        Assert.Equal("a", guest.CommandLine);
        Assert.Equal("g.cfg:4: cmdline is set: root and extra are ignored", Assert.Single(warnings));
    }

    [Theory]
    [InlineData("a.raw,raw,xvda,rw", DiskFormat.Raw, "xvda", false)]
    [InlineData("a.raw,,hda", DiskFormat.Raw, "hda", false)]
    [InlineData("a.raw, raw, sdb3, r", DiskFormat.Raw, "sdb3", true)]
    [InlineData("format=raw, vdev=xvda, access=w, target=a.raw", DiskFormat.Raw, "xvda", false)]
    [InlineData("b.qcow2,qcow2,xvdc,ro", DiskFormat.Qcow2, "xvdc", true)]
    [InlineData("qcow2:b.qcow2,xvdc,w", DiskFormat.Qcow2, "xvdc", false)]
    [InlineData("file:a.raw,xvda,w", DiskFormat.Raw, "xvda", false)]
    [InlineData("phy:a.raw,xvda,r", DiskFormat.Raw, "xvda", true)]
    [InlineData("tap:qcow2:b.qcow2,xvda,w", DiskFormat.Qcow2, "xvda", false)]
    [InlineData("tap:aio:a.raw,xvda:disk,w", DiskFormat.Raw, "xvda", false)]
    [InlineData("vdev=d1p2,format=,access=,target=a.raw", DiskFormat.Raw, "d1p2", false)]
    [InlineData("vdev=xvda,direct-io-safe,backend=0,specification=xen,target=a.raw", DiskFormat.Raw, "xvda", false)]
    public void ReadsDisks(string text, DiskFormat format, string device, bool readOnly)
    {
        DiskSpecification disk = Disk(text);
        Assert.Equal((format, device, readOnly), (disk.Format, disk.Device.Name, disk.ReadOnly));
        Assert.StartsWith(_directory.Path, disk.Target, StringComparison.Ordinal);
    }

    [Fact]
    public void TargetTakesTheWholeRest()
    {
        DiskSpecification disk = Disk("vdev=xvda,target=with,comma.raw");
        Assert.Equal(Path.Combine(_directory.Path, "with,comma.raw"), disk.Target);
    }

    [Fact]
    public void TargetsWithoutSlashMayBeDevices() => Assert.Equal("/dev/null", Disk("null,raw,xvda,r").Target);

    [Theory]
    [InlineData("a.raw,raw,xvda,rw,no-discard", false)]
    [InlineData("a.raw,raw,xvda,rw,discard", true)]
    [InlineData("a.raw,raw,xvda,rw", true)]
    public void ReadsDiscard(string text, bool discard) => Assert.Equal(discard, Disk(text).Discard);

    [Theory]
    [InlineData("a.raw,,hdc,cdrom")]
    [InlineData("a.raw,raw,hdc,devtype=cdrom")]
    [InlineData("raw:a.raw,hdc:cdrom,r")]
    public void CdromIsReadOnlyDisk(string text)
    {
        (GuestConfiguration guest, IReadOnlyList<string> warnings) = Read(Minimal + $"disk = [ '{text}' ]");
        Assert.True(Assert.Single(guest.Disks).ReadOnly);
        Assert.Equal("g.cfg:4: hdc is offered to the guest as a read-only disk: there are no CD-ROM drives", Assert.Single(warnings));
    }

    // Numbers by the table and the examples of xen-vbd-interface(7).
    [Theory]
    [InlineData("xvda", 51712u)]
    [InlineData("d0", null)]
    [InlineData("d0p0", 51712u)]
    [InlineData("xvdb2", (202u << 8) | 16 | 2)]
    [InlineData("d1p2", (202u << 8) | 16 | 2)]
    [InlineData("xvdp15", (202u << 8) | (15 << 4) | 15)]
    [InlineData("xvdq", (1u << 28) | (16 << 8))]
    [InlineData("xvda16", (1u << 28) | 16)]
    [InlineData("xvdtq37", (1u << 28) | (536 << 8) | 37)]
    [InlineData("d536p37", (1u << 28) | (536 << 8) | 37)]
    [InlineData("sdb3", (8u << 8) | 16 | 3)]
    [InlineData("hdc2", (22u << 8) | 2)]
    [InlineData("hdb63", (3u << 8) | 64 | 63)]
    [InlineData("51712", 51712u)]
    [InlineData("0xca00", 51712u)]
    [InlineData("hde", null)]
    [InlineData("sdq", null)]
    [InlineData("sda16", null)]
    [InlineData("hda64", null)]
    [InlineData("xvda256", null)]
    [InlineData("xvda0", null)]
    [InlineData("xvd", null)]
    [InlineData("d1048576p0", null)]
    [InlineData("0", null)]
    [InlineData("", null)]
    public void NumbersVirtualDevices(string name, uint? number) => Assert.Equal(number, VirtualDevice.TryParse(name)?.Number);

    [Theory]
    [InlineData("10Mb/s", 62_500ul, 50_000u)]
    [InlineData("250KB/s", 12_500ul, 50_000u)]
    [InlineData("1MB/s@20ms", 20_000ul, 20_000u)]
    [InlineData("1GB/s@1s", 1_000_000_000ul, 1_000_000u)]
    [InlineData("8b/s@1s", 1ul, 1_000_000u)]
    [InlineData("1MB/s@500us", 500ul, 500u)]
    public void ReadsRates(string text, ulong bytes, uint interval) => Assert.Equal(new VifRate(bytes, interval), VifRate.TryParse(text));

    [Theory]
    [InlineData("10Mb")]
    [InlineData("0Mb/s")]
    [InlineData("Mb/s")]
    [InlineData("1MB/s@0ms")]
    [InlineData("1MB/s@5000s")]
    [InlineData("1B/s@1us")]
    [InlineData("99999999999GB/s")]
    [InlineData("1MB/s@20ms ")]
    public void RefusesRates(string text) => Assert.Null(VifRate.TryParse(text));

    [Theory]
    [InlineData("10.0.0.2/24", "10.0.0.2", 32)]
    [InlineData("10.0.0.0/24", "10.0.0.0", 24)]
    [InlineData("fe80::1", "fe80::1", 128)]
    public void ReadsAddresses(string text, string address, int length)
    {
        IPNetwork network = Assert.Single(Vif($"ip={text}").Addresses);
        Assert.Equal((IPAddress.Parse(address), length), (network.BaseAddress, network.PrefixLength));
    }

    [Theory]
    [InlineData("all", 256)]
    [InlineData("0-3,5,^1", 4)]
    [InlineData("all,^7", 255)]
    public void ReadsCpuLists(string text, int count) => Assert.Equal(count, CpuSet.TryParse(text)!.Cpus.Count());

    [Theory]
    [InlineData("")]
    [InlineData("^0")]
    [InlineData("3-1")]
    [InlineData("256")]
    [InlineData("0-1-2")]
    [InlineData("nodes:0")]
    public void RefusesCpuLists(string text) => Assert.Null(CpuSet.TryParse(text));

    [Fact]
    public void ListOfCpusIsOnePerVcpu()
    {
        GuestConfiguration guest = ReadQuietly(Minimal + "vcpus = 3\ncpus = [ '2', 1 ]");
        Assert.Equal([[2], [1]], guest.Affinities.Take(2).Select(set => set.Cpus.ToArray()));
        Assert.True(guest.Affinities[2].IsEveryCpu);
    }

    [Fact]
    public void UnreadableFileIsAnInputError() =>
        Assert.StartsWith("/nonexistent/g.cfg: cannot be read", Assert.Throws<InputException>(() => GuestConfigurationReader.ReadFile("/nonexistent/g.cfg")).Message, StringComparison.Ordinal);
}
