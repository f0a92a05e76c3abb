using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>TCP both ways, and UDP, with combinations of the offloads of the guest's interface and of L0's NIC (<c>iperf.sh</c>).</summary>
public sealed class IperfTests
{
    private const string Port = "5201";

    /// <summary>The last number of the outside's address (<c>namespace.sh</c>; QEMU's user network has it, too) and of the guest's that is a server.</summary>
    private const int OutsideHost = 2;
    private const int Dom0Host = 50;
    private const int GuestHost = 100;

    /// <summary>Kilobits (1,000 bits) per second of the interfaces with a limit: for datagrams, and for TCP.</summary>
    private const int LimitKilobits = 3_000;
    private const int FastLimitKilobits = 40_000;

    /// <summary>With <c>complete</c> in this environment variable all combinations of an interface's offloads are tried, which takes a quarter of an hour.</summary>
    private const string More = "BLANKET_IPERF";

    /// <summary>When a run with all combinations is ended, in seconds.</summary>
    private const int CompleteSeconds = 7_200;

    /// <summary>Properties of QEMU's NIC that are off; some contradict each other without the others, as a NIC may that was put together by hand.</summary>
    private static readonly string[][] s_nics =
    [
        [],
        ["csum"],
        ["guest_csum"],
        ["host_tso4", "host_tso6", "host_ecn"],
        ["guest_tso4", "guest_tso6", "guest_ecn"],
        ["mrg_rxbuf"],
        ["event_idx", "indirect_desc"],
        ["csum", "guest_csum", "host_tso4", "host_tso6", "host_ecn", "guest_tso4", "guest_tso6", "guest_ecn", "mrg_rxbuf"],
    ];

    /// <summary>
    /// Each NIC is a TAP device in a network namespace: of QEMU's networks that need no rights of the host's, only that has offloads.
    /// </summary>
    [Fact]
    public async Task OutsideWithOffloadsOfTheNic()
    {
        BootDirectory directory = BootDirectory.For(nameof(OutsideWithOffloadsOfTheNic));
        string configuration = await WriteClientAsync(directory, OutsideHost, s_nics.Length);
        IEnumerable<string> qemu = s_nics.SelectMany(static (off, number) => Nic(number, off));
        string script = directory.Write("namespace.sh", Encoding.UTF8.GetString(TestGuest.Resource("namespace.sh")));
        GuestPrograms programs = await PrepareAsync();
        BlanketCommand run = await BlanketCommand.RunAsync(
            directory,
            [configuration, .. qemu.SelectMany(static argument => new[] { $"--qemu-arg={argument}" })],
            IsComplete ? CompleteSeconds : BlanketCommand.DefaultTimeoutSeconds,
            ["unshare", "-rn", "sh", script, s_nics.Length.ToString(CultureInfo.InvariantCulture), programs.Root]);
        run.RequireStatus(0);
        run.RequireInLog("client", "iperf: passed");
        Audit.RequireNothingLeft(directory);
    }

    /// <summary>The outside of a machine on Xen is dom0, on the bridge that the machine's NIC is on.</summary>
    [Fact]
    public async Task Dom0OfXen()
    {
        BootDirectory directory = BootDirectory.For(nameof(Dom0OfXen));
        string configuration = await WriteClientAsync(directory, Dom0Host, 1, more: "size=1M ");
        GuestPrograms programs = await GuestPrograms.PrepareAsync("iperf3");
        XenPreparation preparation = new(Encoding.UTF8.GetString(TestGuest.Resource("dom0-iperf.sh")), programs.Root);
        GuestMachine machine = new(directory) { Xen = XenDomainType.Pvh, XenPreparation = preparation };
        await machine.RequirePoweroffAsync(configuration);
        machine.RequireLine("client", "iperf: passed");
        Audit.RequireNothingLeft(directory);
    }

    /// <summary>
    /// Two guests on a bridge: large packets and partial checksums go from one to the other as they are. Interfaces with a limit send as fast as
    /// that, within 5 %.
    /// </summary>
    [Fact]
    public async Task BetweenGuests()
    {
        BootDirectory directory = BootDirectory.For(nameof(BetweenGuests));
        string client = await WriteClientAsync(directory, GuestHost, 1, limited: true);
        TestGuest guest = await TestGuest.CreateAsync();
        string server = guest.WriteWithInit(
            directory, "server", "iperf-server.sh", string.Empty, (await PrepareAsync()).ToArchive(), TestGuest.Disks(directory.CreateDisk("server.raw", 4)), "vif = [ \"bridge=net0\" ]");
        TaskCompletionSource done = new();
        GuestMachine machine = new(directory) { OnLine = (_, line) => CompleteWhenOver(line, done) };
        machine.When("client-done", () => done.Task);
        await machine.RequirePoweroffAsync(server, client);
        machine.RequireLine("client", "iperf: passed");
        Audit.RequireNothingLeft(directory);
    }

    private static bool IsComplete => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(More));

    private static void CompleteWhenOver(string line, TaskCompletionSource done)
    {
        if (line.StartsWith("iperf: passed", StringComparison.Ordinal) || line.StartsWith("failed: ", StringComparison.Ordinal))
        {
            done.TrySetResult();
        }
    }

    private static Task<GuestPrograms> PrepareAsync() => GuestPrograms.PrepareAsync("iperf3", "ethtool");

    private static async Task<string> WriteClientAsync(BootDirectory directory, int host, int interfaces, bool limited = false, string more = "")
    {
        TestGuest guest = await TestGuest.CreateAsync();
        string vifs = string.Join(", ", Enumerable.Range(0, interfaces).Select(number => $"\"bridge=net{number}\""));
        string rate = string.Empty;
        if (limited)
        {
            vifs += $", \"bridge=net0,rate={LimitKilobits}Kb/s\", \"bridge=net0,rate={FastLimitKilobits}Kb/s\"";
            rate = $"rate={LimitKilobits} fast={FastLimitKilobits} ";
        }

        return guest.WriteWithInit(
            directory,
            "client",
            "iperf.sh",
            string.Create(CultureInfo.InvariantCulture, $"host={host} port={Port} interfaces={interfaces} {rate}{more}{Environment.GetEnvironmentVariable(More)}"),
            (await PrepareAsync()).ToArchive(),
            TestGuest.Disks(directory.CreateDisk("client.raw", 4)),
            $"vif = [ {vifs} ]");
    }

    private static IEnumerable<string> Nic(int number, string[] off) =>
    [
        "-netdev", $"tap,id=tap{number},ifname=tap{number},script=no,downscript=no",
        "-set", $"device.nic{number}.netdev=tap{number}",
        .. off.SelectMany(property => new[] { "-set", $"device.nic{number}.{property}=off" }),
    ];
}
