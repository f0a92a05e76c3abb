using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Qemu;

namespace Blanket.Boot.Tests;

public sealed class OperatorTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(180);

    private const string WithNetwork = "vif = [ \"\" ]";

    /// <summary>Every command for a running instance, on a machine with a guest from its start and one that is added, with a disk and a vif.</summary>
    [Fact]
    public async Task OperatorDrivesARunningMachine()
    {
        BootDirectory directory = BootDirectory.For(nameof(OperatorDrivesARunningMachine));
        TestGuest guest = await TestGuest.CreateAsync();
        string web = guest.Write(
            directory, "web", "panic=-1 quiet", "maxvcpus = 2", "on_reboot = \"restart\"", WithNetwork, TestGuest.Disks(directory.CreateDisk("web.raw", 4)));
        string other = guest.Write(directory, "other", "panic=-1 quiet", WithNetwork, TestGuest.Disks(directory.CreateDisk("other.raw", 8)));
        string large = TestKernel.Write(directory, "large", 4000, string.Empty);

        await using OperatorSession session = await OperatorSession.StartAsync(directory, ["--cpus", "2", "--memory", "800", web]);
        await session.TypeAsync("web", "echo rea''dy", "ready");
        await ControlAsync(session);
        await AddAsync(session, other, large, directory);
        await ObserveAsync(session);
        await EndAsync(session, web);
    }

    /// <summary>On Xen all consoles share a line. Guests that are added have consoles and logs there, from their first line on, and nothing of another's.</summary>
    [Fact]
    public async Task GuestsAddedOnXenHaveConsoles()
    {
        BootDirectory directory = BootDirectory.For("Xen-" + nameof(GuestsAddedOnXenHaveConsoles));
        string Guest(string name, params string[] settings) => TestKernel.Write(directory, name, "flood=1", settings);
        await using OperatorSession session = await OperatorSession.StartAsync(directory, ["--l0", "xen", "--memory", "200", Guest("first")]);
        await session.TypeAsync("first", "to first", "flood: to first");
        await session.CallRefusedAsync(2, "offers no disks", "start", Guest("disks", TestGuest.Disks(directory.CreateDisk("disk.raw", 1))));
        await session.CallRefusedAsync(1, "xen.log", "start", Guest("xen"));
        await session.CallAsync("start", Guest("second"));
        await session.TypeAsync("second", "to second", "flood: to second");
        await session.CallAsync("start", Guest("third"));
        await session.CallAsync("destroy", "second");
        await session.CallRefusedAsync(2, "has no console of second", "console", "second");
        await session.CallAsync("start", Guest("fourth"));
        await session.TypeAsync("third", "to third", "flood: to third");
        string fourth = await session.TypeAsync("fourth", "to fourth", "flood: to fourth");
        Assert.Equal(["flood: ", "flood: to fourth"], Lines(fourth));
        await session.TypeAsync("first", "to the first again", "flood: to the first again");
        await session.CallAsync("shutdown");
        Assert.Equal(["flood: ", "flood: to first", "flood: to the first again"], Lines(directory.ReadLog("first")));
        Assert.Equal(["flood: ", "flood: to second"], Lines(directory.ReadLog("second")));
        Assert.Equal(["flood: ", "flood: to third"], Lines(directory.ReadLog("third")));
        Assert.Equal(["flood: ", "flood: to fourth"], Lines(directory.ReadLog("fourth")));
    }

    private static string[] Lines(string text) => [.. text.Split('\n').Select(line => line.TrimEnd('\r')).Where(line => line.Length > 0)];

    private static async Task ControlAsync(OperatorSession session)
    {
        await session.CallAsync("pause", "web");
        Assert.Equal("paused", (await session.FindAsync("web"))!["state"]!.GetValue<string>());
        await session.CallRefusedAsync(1, "that is so already", "pause", "web");
        await session.CallAsync("unpause", "web");
        await session.CallRefusedAsync(1, "does not fit", "unpause", "web");
        await session.CallAsync("mem-set", "web", "192");
        await session.AwaitAsync("web", "memory of 192 MiB", web => web!["memory_kib"]!.GetValue<long>() == 192 << 10);
        await session.CallAsync("mem-set", "web", "256");
        await session.AwaitAsync("web", "memory of 256 MiB", web => web!["memory_kib"]!.GetValue<long>() == 256 << 10);
        await session.CallRefusedAsync(1, "does not fit", "mem-set", "web", "100000");

        // Linux registers the vCPU and leaves it to udev's rules to take it into use; this guest has none.
        await session.CallAsync("vcpu-set", "web", "2");
        await session.TypeAsync("web", "cpu=/sys/devices/system/cpu/cpu1/online; until [ -e $cpu ]; do sleep 0.1; done; echo 1 > $cpu; echo on''line", "online");
        await session.AwaitAsync("web", "2 vCPUs", web => web!["vcpus_online"]!.GetValue<int>() == 2);
        await session.CallAsync("vcpu-set", "web", "1");
        await session.AwaitAsync("web", "1 vCPU", web => web!["vcpus_online"]!.GetValue<int>() == 1);
        await session.CallRefusedAsync(1, "does not fit", "vcpu-set", "web", "3");
        await session.CallRefusedAsync(1, "no such guest", "pause", "nobody");
        await PinAsync(session);
    }

    /// <summary>A vCPU moves to the CPU that it is given, and does its work there.</summary>
    private static async Task PinAsync(OperatorSession session)
    {
        foreach (int cpu in new[] { 1, 0 })
        {
            await session.CallAsync("vcpu-pin", "web", "0", cpu.ToString(CultureInfo.InvariantCulture));
            await session.TypeAsync("web", "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; while :; do :; done & echo bu''sy", "busy");
            await session.AwaitKeysAsync("r", $"vCPU 0 on CPU {cpu} of 0x0 0x{1 << cpu:x} ");
            await session.TypeAsync("web", "kill $!; echo do''ne", "done");
        }

        await session.CallAsync("vcpu-pin", "web", "all", "all");
        await session.CallRefusedAsync(1, "does not fit", "vcpu-pin", "web", "all", "7");
        await session.CallRefusedAsync(1, "does not fit", "vcpu-pin", "web", "2", "0");
        await session.CallRefusedAsync(2, "expected", "vcpu-pin", "web", "0", "some");
        await session.CallRefusedAsync(1, "no such guest", "vcpu-pin", "nobody", "0", "0");
    }

    private static async Task AddAsync(OperatorSession session, string other, string large, BootDirectory directory)
    {
        Assert.Contains("not enough memory", await session.CallRefusedAsync(1, "could not be started", "start", large), StringComparison.Ordinal);

        // What is typed before the machine knows the guest, it reads when it is there.
        Task<string> start = session.CallAsync("start", other);
        await session.AwaitConsoleAsync("other");
        await session.TypeAsync("other", "cat /sys/class/block/xvda/size; echo mar''ked > /dev/xvda; sync; echo wri''tten", "16384\r\nwritten");
        await start;
        await session.CallRefusedAsync(2, "is the name of a running guest", "start", other);
        await session.AwaitAsync("other", "writes", guest => guest!["disk_written_bytes"]!.GetValue<long>() > 0);
        await session.AwaitAsync("other", "packets", guest => guest!["net_sent_packets"]!.GetValue<long>() > 0 && guest["net_received_packets"]!.GetValue<long>() > 0);
        Assert.Equal("marked\n"u8.ToArray(), File.ReadAllBytes(directory.PathOf("other.raw"))[..7]);
    }

    private static async Task ObserveAsync(OperatorSession session)
    {
        string table = await session.CallAsync("list");
        Assert.Contains("web", table, StringComparison.Ordinal);
        Assert.Contains("other", table, StringComparison.Ordinal);
        Assert.Contains("CPU %", await session.CallAsync("top", "--count", "1"), StringComparison.Ordinal);
        JsonNode[] looks = [.. (await session.CallAsync("top", "--json", "--count", "2", "--interval", "1")).Trim().Split('\n').Select(line => JsonNode.Parse(line)!)];
        Assert.Equal(2, looks.Length);
        Assert.True(looks[1]["uptime_ns"]!.GetValue<long>() - looks[0]["uptime_ns"]!.GetValue<long>() > 500_000_000);
        Assert.All(looks, look => Assert.Equal(2, look["guests"]!.AsArray().Count));
        Assert.Contains("vif", await session.CallAsync("devices", "other"), StringComparison.Ordinal);
        JsonArray devices = JsonNode.Parse(await session.CallAsync("devices", "other", "--json"))!.AsArray();
        JsonNode disk = devices.Single(device => device!["kind"]!.GetValue<string>() == "disk")!;
        JsonNode vif = devices.Single(device => device!["kind"]!.GetValue<string>() == "vif")!;
        Assert.True(disk["written_bytes"]!.GetValue<long>() >= 512 && disk["failed"]!.GetValue<long>() == 0, disk.ToJsonString());
        Assert.True(vif["sent_packets"]!.GetValue<long>() > 0 && vif["received_bytes"]!.GetValue<long>() > 0, vif.ToJsonString());
        string log = await session.CallAsync("log");
        Assert.Contains("event guest-start name=other", log, StringComparison.Ordinal);
        Assert.Contains("event guest-refused name=large", log, StringComparison.Ordinal);
        string shown = await session.CallAsync("debug-keys", "qregmtxh");
        Assert.Contains("\"other\" state 0", shown, StringComparison.Ordinal);
        Assert.Contains("event audit frames=", shown, StringComparison.Ordinal);
        Assert.Matches("asked L0: events sent 0, timer set [1-9]", shown);
        Assert.DoesNotContain("Blanket starts", shown, StringComparison.Ordinal);
        await session.CallRefusedAsync(1, "does not fit", "debug-keys", "Z");
    }

    /// <summary>What a guest had that powers off by itself is given back without another command.</summary>
    private static async Task RequirePoweroffReleasesTheDiskAsync(OperatorSession session, string web)
    {
        string image = Path.Combine(Path.GetDirectoryName(web)!, "web.raw");
        Assert.Contains(image, await NodesAsync(session), StringComparison.Ordinal);
        await session.TypeAsync("web", "poweroff -f", "poweroff");
        Stopwatch watch = Stopwatch.StartNew();
        while ((await NodesAsync(session)).Contains(image, StringComparison.Ordinal))
        {
            Assert.True(watch.Elapsed < s_patience, "QEMU keeps the image of a guest that powered off");
            await Task.Delay(100);
        }

        Assert.Null(await session.FindAsync("web"));
    }

    /// <summary>What QEMU says of the images that it has open.</summary>
    private static async Task<string> NodesAsync(OperatorSession session)
    {
        using IDisposable turn = await session.Instance.TakeTurnAsync(static () => { }, CancellationToken.None);
        using QmpConnection connection = await QmpConnection.OpenAsync(session.Instance.QmpSocket, CancellationToken.None);
        return (await connection.ExecuteAsync("query-named-block-nodes", [], CancellationToken.None)).ToString();
    }

    private static async Task EndAsync(OperatorSession session, string web)
    {
        int domain = (await session.FindAsync("web"))!["domid"]!.GetValue<int>();
        await session.CallAsync("reboot", "web");
        await session.AwaitAsync("web", "another domain", guest => guest is not null && guest["domid"]!.GetValue<int>() != domain);
        await session.CallAsync("destroy", "other");
        Assert.Null(await session.FindAsync("other"));
        await session.TypeAsync("web", "echo ag''ain", "again");
        await RequirePoweroffReleasesTheDiskAsync(session, web);
        string before = (await session.AuditAsync()).ToString();

        // Its disk is given back by the guest of the machine's start, and taken by the one that is added.
        await session.CallAsync("start", web);
        await session.TypeAsync("web", "echo new''er", "newer");
        await session.CallAsync("destroy", "web");
        Assert.Equal(before, (await session.AuditAsync()).ToString());
        await session.CallAsync("shutdown");
        Assert.DoesNotContain(Lab.Instances.Instance.FindAll(), instance => instance.Name == $"test-{Environment.ProcessId}");
    }
}
