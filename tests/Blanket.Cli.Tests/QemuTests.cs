using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Bundles;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Blanket.Lab.Qemu;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Tests;

public sealed class QemuTests : IDisposable
{
    private static readonly Accelerator Tcg = new(false, "for a test");

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static MachineOptions Options(string kernel) => new() { Kernel = kernel, Accelerator = Tcg, MemoryMiB = 32 };

    private static PlannedDisk Disk(string target, DiskFormat format, bool readOnly) =>
        new("serial0", new DiskSpecification(new SourceLine("t", 1), target, format, VirtualDevice.TryParse("xvda")!, readOnly, true));

    private static string ValueOf(IReadOnlyList<string> arguments, string option, int index = 0) =>
        arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == option).ElementAt(index).Second;

    [Fact]
    public void DescribesTheMachine()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(
            Options("/k") with { Module = "/a,b", CommandLine = "x y", Cpus = 3, MemoryMiB = 512, ExtraArguments = ["-snapshot"] }, "/s");
        Assert.Equal("q35", ValueOf(arguments, "-machine"));
        Assert.Equal("tcg,thread=multi", ValueOf(arguments, "-accel"));
        Assert.Equal(("512M", "3"), (ValueOf(arguments, "-m"), ValueOf(arguments, "-smp")));
        Assert.Equal(("/k", "/a,,b", "x y"), (ValueOf(arguments, "-kernel"), ValueOf(arguments, "-initrd"), ValueOf(arguments, "-append")));
        Assert.Equal("socket,id=log,path=/s/log", ValueOf(arguments, "-chardev"));
        Assert.Equal("chardev:log", ValueOf(arguments, "-serial"));
        Assert.Contains("-no-reboot", arguments);
        Assert.Contains(arguments, argument => argument.StartsWith("virtio-rng-pci,", StringComparison.Ordinal));
        Assert.Equal("-snapshot", arguments[^1]);
        Assert.DoesNotContain("-gdb", arguments);
    }

    [Fact]
    public void UsesTheHostProcessorWithKvm()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(Options("/k") with { Accelerator = new Accelerator(true, "it works") }, "/s");
        Assert.Equal(("kvm", "host"), (ValueOf(arguments, "-accel"), ValueOf(arguments, "-cpu")));
    }

    [Theory]
    [InlineData(Firmware.Bios, false)]
    [InlineData(Firmware.Uefi, true)]
    public void FirmwareBootsFromADiskBehindTheOthers(Firmware firmware, bool isUefi)
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(
            Options("/k") with { Firmware = firmware, BootDisk = "/boot,1.img", Nics = 1 }, "/s");
        Assert.DoesNotContain("-kernel", arguments);
        Assert.Equal(isUefi, arguments.Contains("-bios"));
        JsonNode node = JsonNode.Parse(ValueOf(arguments, "-blockdev"))!;
        Assert.Equal(("/boot,1.img", true), ((string?)node["file"]!["filename"], (bool)node["read-only"]!));
        Assert.Equal("virtio-blk-pci,drive=boot,bootindex=0,addr=4", arguments[^1]);
    }

    [Fact]
    public void DescribesDisks()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(
            Options("/k") with { Disks = [Disk("/d \"x\",y.qcow2", DiskFormat.Qcow2, readOnly: true), Disk("/dev/null", DiskFormat.Raw, readOnly: false)] }, "/s");
        JsonNode file = JsonNode.Parse(ValueOf(arguments, "-blockdev"))!;
        Assert.Equal(("file", "/d \"x\",y.qcow2", true), ((string?)file["driver"], (string?)file["filename"], (bool)file["read-only"]!));
        JsonNode format = JsonNode.Parse(ValueOf(arguments, "-blockdev", 1))!;
        Assert.Equal(("qcow2", (string?)file["node-name"], true), ((string?)format["driver"], (string?)format["file"], (bool)format["read-only"]!));
        Assert.Equal("host_device", (string?)JsonNode.Parse(ValueOf(arguments, "-blockdev", 2))!["driver"]);
        Assert.Contains("virtio-blk-pci,id=serial0,drive=disk.serial0,serial=serial0,addr=3", arguments);
        Assert.All(arguments, argument => Assert.DoesNotContain("no-flush", argument, StringComparison.Ordinal));
    }

    [Fact]
    public void DescribesEmptyDisksForGuestsOfLater()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(
            Options("/k") with { SpareDisks = [new DiskSlot("spare.disk0", false, null), new DiskSlot("spare.read-only0", true, null)] }, "/s");
        JsonNode first = JsonNode.Parse(ValueOf(arguments, "-blockdev"))!;
        JsonNode second = JsonNode.Parse(ValueOf(arguments, "-blockdev", 1))!;
        Assert.Equal((0, false), ((int)first["size"]!, (bool)first["read-only"]!));
        Assert.True((bool)second["read-only"]!);
        Assert.Contains("virtio-blk-pci,id=spare.disk0,drive=empty.spare.disk0,serial=spare.disk0,addr=3", arguments);
        Assert.Contains("virtio-blk-pci,id=spare.read-only0,drive=empty.spare.read-only0,serial=spare.read-only0,addr=4", arguments);
    }

    [Fact]
    public void DescribesNicsInTheOrderOfBridges()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(
            Options("/k") with { Nics = 2, Forwards = [PortForward.TryParse("2222:22")!, PortForward.TryParse("8080:10.0.2.16:80")!] }, "/s");
        Assert.Equal("user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-10.0.2.16:80", ValueOf(arguments, "-netdev"));
        Assert.Equal("user,id=net1", ValueOf(arguments, "-netdev", 1));
        Assert.Contains("virtio-net-pci,id=nic0,netdev=net0,addr=3", arguments);
        Assert.Contains("virtio-net-pci,id=nic1,netdev=net1,addr=4", arguments);
    }

    [Fact]
    public void DescribesConsoles()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(Options("/k") with { ConsolePorts = [(1, "blanket.console"), (40, "console.g")] }, "/s");
        Assert.Contains("virtio-serial-pci,id=serial,max_ports=41,addr=2", arguments);
        Assert.Contains("virtserialport,bus=serial.0,nr=40,chardev=con40,name=console.g", arguments);
        Assert.Contains("socket,id=con40,path=/s/con40", arguments);
    }

    [Fact]
    public void ManyDevicesShareSlots()
    {
        IReadOnlyList<string> arguments = QemuCommandLine.Build(Options("/k") with { Nics = 60 }, "/s");
        string[] addresses = [.. arguments.Where(argument => argument.Contains(",addr=", StringComparison.Ordinal)).Select(argument => argument[argument.IndexOf("addr=", StringComparison.Ordinal)..])];
        Assert.Equal(addresses.Length, addresses.Distinct().Count());
        Assert.Equal("addr=2.0,multifunction=on", addresses[0]);
        Assert.Equal("addr=3.1,multifunction=on", addresses[9]);
        Assert.Contains("expected at most 232", Assert.Throws<InputException>(() => QemuCommandLine.Build(Options("/k") with { Nics = 300 }, "/s")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("80")]
    [InlineData("0:80")]
    [InlineData("80:65536")]
    [InlineData("80:-1")]
    [InlineData("80:host:80")]
    [InlineData("80:1:80")]
    [InlineData("80:80:80:80")]
    public void RefusesForwards(string text) => Assert.Null(PortForward.TryParse(text));

    /// <summary>The firmware of the probe for KVM tells a working CPU, whatever runs it.</summary>
    [Fact]
    public async Task ProbeTellsAWorkingProcessor()
    {
        Assert.True(await AcceleratorProbe.RunsFirmwareAsync("tcg", "max", CancellationToken.None));
        Assert.False(await AcceleratorProbe.RunsFirmwareAsync("tcg", "qemu32", CancellationToken.None), "a CPU without 64-bit mode");
        Assert.False(await AcceleratorProbe.RunsFirmwareAsync("none-such", "max", CancellationToken.None));
    }

    [Fact]
    public async Task SaysWhyQemuDidNotStart()
    {
        MachineOptions wrong = Options("/nonexistent/kernel") with { ExtraArguments = ["-no-such-option"] };
        HostException error = await Assert.ThrowsAsync<HostException>(() => VirtualMachine.StartAsync(wrong, CancellationToken.None));
        Assert.Contains("no-such-option", error.Message, StringComparison.Ordinal);
    }

    /// <summary>QEMU connects its lines before it opens the kernel.</summary>
    [Fact]
    public async Task SaysWhyQemuDidNotRun()
    {
        await using VirtualMachine machine = await VirtualMachine.StartAsync(Options("/nonexistent/kernel"), CancellationToken.None);
        MachineRun run = new(machine, _ => [], _ => { });
        HostException error = await Assert.ThrowsAsync<HostException>(
            () => run.CompleteAsync(new TextSink(), new Dictionary<uint, IConsoleSink?>(), TimeSpan.FromSeconds(60), CancellationToken.None));
        Assert.Contains("/nonexistent/kernel", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FollowsARunToItsEnd()
    {
        const string text = "boot\nblanket: event guest-start name=g domid=1\nblanket: event guest-poweroff name=g\nblanket: event all-guests-done\n";
        (RunOutcome outcome, string log, List<string> events) = await RunAsync(TinyKernel.Image(text, powerOff: true), TimeSpan.FromSeconds(60));
        Assert.Equal(RunOutcome.Success, outcome);
        Assert.Equal(["guest-start", "guest-poweroff", "all-guests-done"], events);
        Assert.EndsWith(text, log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task MachineThatPowersOffSilentlyIsAPanic() =>
        Assert.Equal(RunOutcome.BlanketPanicked, (await RunAsync(TinyKernel.Image("hello\n", powerOff: true), TimeSpan.FromSeconds(60))).Outcome);

    [Fact]
    public async Task MachineThatHangsTimesOut() =>
        Assert.Equal(RunOutcome.TimedOut, (await RunAsync(TinyKernel.Image("blanket: event guest-start name=g domid=1\n", powerOff: false), TimeSpan.FromSeconds(3))).Outcome);

    private async Task<(RunOutcome Outcome, string Log, List<string> Events)> RunAsync(byte[] kernel, TimeSpan timeout)
    {
        List<string> events = [];
        TextSink log = new();
        await using VirtualMachine machine = await VirtualMachine.StartAsync(
            Options(_directory.File("kernel", kernel)) with { ConsolePorts = [(1, "blanket.console")], Disks = [Disk(_directory.File("d", new byte[4096]), DiskFormat.Raw, false)], Nics = 1 },
            CancellationToken.None);
        MachineRun run = new(machine, line => RunEvent.TryParse(line) is RunEvent happening ? [happening] : [], happening => events.Add(happening.Name));
        RunOutcome outcome = await run.CompleteAsync(log, new Dictionary<uint, IConsoleSink?> { [1] = null }, timeout, CancellationToken.None);
        return (outcome, log.Text, events);
    }

    private sealed class TextSink : IConsoleSink
    {
        private readonly MemoryStream _content = new();

        public string Text => System.Text.Encoding.UTF8.GetString(_content.ToArray());

        public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
        {
            _content.Write(bytes.Span);
            return ValueTask.CompletedTask;
        }
    }
}
